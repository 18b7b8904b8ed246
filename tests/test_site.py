"""The APIs of the python.org stand-in against what was observed on the site's own code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from site_helpers import DRAFT, URL, Client, Version

from relkit.rehearsal.site import Site
from relkit.rehearsal.site_auth import Limits

CANNED = {"error_message": "Sorry, this request could not be processed. Please try again later."}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site.sqlite", tmp_path / "public", tmp_path / "docs") as site:
        yield site


@pytest.fixture
def client(site: Site) -> Client:
    """Return a client of a site with one draft, number 1."""
    client = Client(site)
    assert client.add("v2/release/", **DRAFT) == 1
    return client


# --- creating, and what comes back ------------------------------------------------------------


def test_v1_creates_with_an_empty_answer_and_the_path_of_the_row(client: Client) -> None:
    answer = client.ask("POST", "v1/release_file/", json=client.file())
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Location"] == "/api/v1/downloads/release_file/1/"


def test_v2_creates_with_the_row_and_its_whole_address(client: Client) -> None:
    answer = client.ask("POST", "v2/release_file/", json=client.file("v2"))
    address = f"{client.site.url}api/v2/downloads/release_file/1/"
    assert answer.headers["Location"] == answer.json()["resource_uri"] == address
    assert answer.json()["os"] == f"{client.site.url}api/v2/downloads/os/3/"
    assert answer.json()["sigstore_bundle_file"] == ""


def test_v1_makes_a_slug_and_dates_a_release_now_where_nothing_is_sent(client: Client) -> None:
    number = client.add("v1/release/", name="Python 3.15.0a9")
    row = client.ask("GET", f"v1/release/{number}/").json()
    assert list(row) == sorted(row)
    assert (row["slug"], row["show_on_download_page"]) == ("python-3150a9", True)
    age = datetime.now(UTC) - datetime.fromisoformat(row["release_date"]).replace(tzinfo=UTC)
    assert age < timedelta(minutes=1)


def test_dates_are_kept_in_utc_and_shown_with_z_only_by_v2(client: Client) -> None:
    for sent in ("2026-05-05T14:00:00+02:00", "2026-05-05T12:00:00"):
        client.ask("PATCH", "v2/release/1/", json={"release_date": sent})
        assert client.ask("GET", "v2/release/1/").json()["release_date"] == "2026-05-05T12:00:00Z"
    assert client.ask("GET", "v1/release/1/").json()["release_date"] == "2026-05-05T12:00:00"


def test_a_failed_insert_uses_up_a_row_number(client: Client) -> None:
    client.add("v1/release_file/", **client.file())
    assert client.ask("POST", "v1/release_file/", json=client.file()).status_code == 500
    other = client.file(slug="other", url=URL + "2")
    assert client.add("v1/release_file/", **other) == 3


def test_page_text_is_ignored_by_both_apis(client: Client) -> None:
    text = {"content": "Hello", "content_markup_type": "markdown"}
    assert client.ask("PATCH", "v2/release/1/", json=text).status_code == 200
    client.add("v1/release/", name="Python 3.15.0a2", **text)
    assert client.site.content("python-3150a1") == client.site.content("python-3150a2") == ""


def test_put_keeps_what_is_omitted_and_clears_what_is_sent_empty(client: Client) -> None:
    fields = client.file("v2", sigstore_bundle_file=URL + ".sigstore", description="x")
    client.add("v2/release_file/", **fields)
    del fields["description"], fields["sigstore_bundle_file"]
    row = client.ask("PUT", "v2/release_file/1/", json=fields | {"description": ""}).json()
    assert (row["description"], row["sigstore_bundle_file"]) == ("", URL + ".sigstore")


def test_a_release_takes_its_files_with_it(client: Client) -> None:
    for version in ("v1", "v2"):
        number = client.add("v2/release/", **DRAFT | {"slug": version})
        fields = client.file(release=number, slug=f"f-{version}", url=URL + version)
        client.add("v1/release_file/", **fields)
        assert client.ask("DELETE", f"{version}/release/{number}/").status_code == 204
    assert client.ask("GET", "v2/release_file/").json() == []


# --- statuses and bodies of refusals ----------------------------------------------------------

MUST_MATCH = "Sidecar URL must match the artifact URL plus '.asc'."
MUST_BEGIN = "Release file URLs must begin with 'https://www.python.org/'."
NO_OS = "The 'os' field has no data and doesn't allow a default or null value."
V1_FILE: list[tuple[dict[str, Any], int, Any]] = [
    ({"slug": "other"}, 500, CANNED),  # the url is taken
    ({"url": URL + "2"}, 500, CANNED),  # the slug is taken
    ({"sha256_sum": "a" * 201}, 500, CANNED),
    ({"filesize": 2**31}, 500, CANNED),
    ({"filesize": "many"}, 500, CANNED),
    ({"os": None}, 500, CANNED),
    ({"os": "garbage"}, 404, CANNED),
    ({"os": ...}, 400, {"error": NO_OS}),
    (
        {"os": "/api/v1/downloads/os/999/"},
        400,
        {
            "error": "Could not find the provided downloads/os object via resource URI"
            " '/api/v1/downloads/os/999/'."
        },
    ),
    (
        {"is_source": "false"},
        400,
        {"error": "['“false” value must be either True or False.']"},
    ),
    ({"url": "http://x.org/"}, 400, {"downloads/release_file": {"url": [MUST_BEGIN]}}),
    (
        {"slug": "new", "url": URL + "2", "gpg_signature_file": URL + ".asc"},
        400,
        {"downloads/release_file": {"gpg_signature_file": [MUST_MATCH]}},
    ),
]
V2_FILE: list[tuple[dict[str, Any], int, Any]] = [
    (
        {},
        400,
        {
            "slug": ["Release File with this slug already exists."],
            "url": ["Release File with this URL already exists."],
        },
    ),
    (
        {"sha256_sum": "a" * 201},
        400,
        {"sha256_sum": ["Ensure this field has no more than 200 characters."]},
    ),
    (
        {"filesize": 2**31},
        400,
        {"filesize": ["Ensure this value is less than or equal to 2147483647."]},
    ),
    ({"filesize": "many"}, 400, {"filesize": ["A valid integer is required."]}),
    ({"is_source": "maybe"}, 400, {"is_source": ["Must be a valid boolean."]}),
    ({"sha256_sum": None}, 400, {"sha256_sum": ["This field may not be null."]}),
    ({"os": ...}, 400, {"os": ["This field is required."]}),
    ({"os": None}, 400, {"os": ["This field may not be null."]}),
    (
        {"os": "/api/v2/downloads/os/999/"},
        400,
        {"os": ["Invalid hyperlink - Object does not exist."]},
    ),
    ({"release": "garbage"}, 400, {"release": ["Invalid hyperlink - No URL match."]}),
    (
        {"release": "/api/v1/downloads/release/1/"},
        400,
        {"release": ["Invalid hyperlink - Incorrect URL match."]},
    ),
    (
        {"release": 1},
        400,
        {"release": ["Incorrect type. Expected URL string, received int."]},
    ),
    ({"slug": "new", "url": "http://x.org/"}, 400, {"url": [MUST_BEGIN]}),
    (
        {"slug": "new", "url": URL + "2", "gpg_signature_file": URL + ".asc"},
        400,
        {"gpg_signature_file": [MUST_MATCH]},
    ),
    ({"slug": "new", "url": ""}, 400, {"url": ["This field may not be blank."]}),
]


def changed(fields: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (fields | change).items() if value is not ...}


@pytest.mark.parametrize(("change", "status", "said"), V1_FILE, ids=str)
def test_v1_refuses_a_file(client: Client, change: dict[str, Any], status: int, said: Any) -> None:  # noqa: ANN401 (JSON)
    client.add("v1/release_file/", **client.file())
    answer = client.ask("POST", "v1/release_file/", json=changed(client.file(), change))
    assert (answer.status_code, answer.json()) == (status, said)
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("change", "status", "said"), V2_FILE, ids=str)
def test_v2_refuses_a_file(client: Client, change: dict[str, Any], status: int, said: Any) -> None:  # noqa: ANN401 (JSON)
    client.add("v2/release_file/", **client.file("v2"))
    answer = client.ask("POST", "v2/release_file/", json=changed(client.file("v2"), change))
    found = answer.json()
    assert (answer.status_code, {name: found.get(name) for name in said}) == (status, said)


def test_bad_dates_are_refused_with_the_formats(client: Client) -> None:
    fields = {"name": "x", "slug": "x", "release_date": "garbage"}
    first = client.ask("POST", "v1/release/", json=fields)
    assert first.status_code == 400
    assert "valid datetime string: 'garbage'" in first.json()["error"]
    second = client.ask("POST", "v2/release/", json=fields)
    assert "YYYY-MM-DD" in second.json()["release_date"][0]


def test_versions_are_checked_by_v2_alone(client: Client) -> None:
    assert client.add("v1/release/", name="Python 77", version=77)
    answer = client.ask("POST", "v2/release/", json={"name": "x", "slug": "x", "version": 77})
    assert answer.json() == {"version": ['"77" is not a valid choice.']}


BODIES = [
    ("v1", b"{", "application/json", 400, {"error": "Request is not valid JSON."}),
    ("v1", b"[]", "application/json", 400, {"error": NO_OS}),
    ("v1", b'{"objects": []}', "application/json", 400, {"error": NO_OS}),
    ("v1", b"{}", "text/plain", 415, CANNED),
    ("v1", b"{" + b" " * 2_700_000, "application/json", 500, CANNED),
    (
        "v2",
        b"[]",
        "application/json",
        400,
        {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]},
    ),
    ("v2", b"{}", "text/plain", 415, {"detail": 'Unsupported media type "text/plain" in request.'}),
]


@pytest.mark.parametrize(("version", "body", "kind", "status", "said"), BODIES)
def test_a_body_that_is_no_json_object_is_refused(
    client: Client, version: Version, body: bytes, kind: str, status: int, said: object
) -> None:
    answer = client.ask(
        "POST", f"{version}/release_file/", data=body, headers={"Content-Type": kind}
    )
    assert (answer.status_code, answer.json()) == (status, said)


def test_unknown_numbers_are_404_in_each_apis_way(client: Client) -> None:
    first = client.ask("GET", "v1/release_file/99/")
    assert (first.status_code, first.content) == (404, b"")
    second = client.ask("GET", "v2/release_file/99/")
    assert second.json() == {"detail": "No ReleaseFile matches the given query."}


# --- who may do what --------------------------------------------------------------------------

NO_KEY = {"detail": "Authentication credentials were not provided."}
BAD_TOKEN = {"detail": "Invalid token."}
KEYS: list[tuple[Version, str, str | None, int, Any]] = [
    ("v1", "POST", None, 401, None),
    ("v1", "POST", "ApiKey nobody:123", 401, None),
    ("v1", "GET", "ApiKey relkit-rehearsal:wrong", 401, None),
    ("v1", "GET", "Basic eDp5", 401, None),
    ("v1", "GET", None, 200, ...),
    ("v2", "POST", None, 401, NO_KEY),
    ("v2", "POST", "Token wrong", 401, BAD_TOKEN),
    ("v2", "GET", "Token wrong", 401, BAD_TOKEN),
    ("v2", "GET", "Basic eDp5", 200, ...),
    ("v2", "POST", "Basic eDp5", 401, NO_KEY),
]


@pytest.mark.parametrize(("version", "method", "key", "status", "said"), KEYS)
def test_a_key_opens_only_what_it_should(
    client: Client,
    version: Version,
    method: str,
    key: str | None,
    status: int,
    said: Any,  # noqa: ANN401 (JSON)
) -> None:
    answer = client.ask(method, f"{version}/release/", key=key, json={})
    assert answer.status_code == status
    if said is not ...:
        assert (answer.json() if answer.content else None) == said


def test_v1_refuses_a_key_in_the_address(client: Client) -> None:
    answer = client.ask("GET", "v1/os/?username=a&api_key=b", key=None)
    assert (answer.status_code, answer.content) == (401, b"")


def test_who_is_not_staff_gets_401_from_v1_and_403_from_v2(client: Client) -> None:
    store = client.site._store
    store.add_user("reader", is_staff=False)
    keys = {
        "v1": f"ApiKey reader:{store.secret('reader', 'v1_key')}",
        "v2": f"Token {store.secret('reader', 'v2_token')}",
    }
    first = client.ask("POST", "v1/release/", key=keys["v1"], json={"name": "x"})
    assert (first.status_code, first.content) == (401, b"")
    second = client.ask("POST", "v2/release/", key=keys["v2"], json=DRAFT)
    assert second.status_code == 403
    assert second.json() == {"detail": "You do not have permission to perform this action."}
    assert client.ask("GET", "v2/release/", key=keys["v2"]).json() == []


def test_drafts_are_hidden_but_their_files_are_not(client: Client) -> None:
    client.add("v1/release_file/", **client.file())
    assert client.ask("GET", "v1/release/", key=None).json()["objects"] == []
    assert client.ask("GET", "v2/release/", key=None).json() == []
    assert client.ask("GET", "v1/release/1/", key=None).status_code == 401
    hidden = client.ask("GET", "v2/release/1/", key=None)
    assert (hidden.status_code, hidden.json()) == (
        404,
        {"detail": "No Release matches the given query."},
    )
    assert len(client.ask("GET", "v2/release_file/", key=None).json()) == 1
    assert len(client.ask("GET", "v1/release_file/", key=None).json()["objects"]) == 1


METHODS = [
    ("PUT", "v1/release/1/", "GET,DELETE"),
    ("PATCH", "v1/release/1/", "GET,DELETE"),
    ("HEAD", "v1/release/", ""),
    ("DELETE", "v1/os/1/", "GET"),
    ("DELETE", "v2/release_file/", {"detail": 'Method "DELETE" not allowed.'}),
    ("DELETE", "v2/os/1/", {"detail": 'Method "DELETE" not allowed.'}),
]


@pytest.mark.parametrize(("method", "path", "said"), METHODS)
def test_other_methods_are_405(client: Client, method: str, path: str, said: object) -> None:
    answer = client.ask(method, path, json={})
    assert answer.status_code == 405
    assert (answer.json() if isinstance(said, dict) else answer.text) == said
    assert client.ask("HEAD", "v2/release/").status_code == 200


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_without_the_final_slash_everything_is_a_redirect(client: Client, version: Version) -> None:
    answer = client.ask("POST", f"{version}/release?a=b", json=DRAFT)
    assert answer.status_code == 301
    assert answer.headers["Location"] == f"/api/{version}/downloads/release/?a=b"


# --- lists ------------------------------------------------------------------------------------


def test_v1_lists_end_at_twenty_unless_asked_for_all(client: Client) -> None:
    for number in range(25):
        client.add("v1/release/", name=f"Python 3.14.{number}")
    first = client.ask("GET", "v1/release/").json()
    assert (len(first["objects"]), first["meta"]["total_count"]) == (20, 26)
    assert first["meta"]["next"] == "/api/v1/downloads/release/?limit=20&offset=20"
    rest = client.ask("GET", "v1/release/?limit=20&offset=20").json()
    assert (len(rest["objects"]), rest["meta"]["next"]) == (6, None)
    for limit in (0, 5000):
        every = client.ask("GET", f"v1/release/?limit={limit}").json()
        assert (len(every["objects"]), every["meta"]["limit"]) == (26, 1000)
    assert len(client.ask("GET", "v2/release/").json()) == 26


def test_a_misspelt_filter_gives_everything_or_is_refused(client: Client) -> None:
    client.add("v1/release/", name="Python 3.14.0")
    assert client.ask("GET", "v1/release/?slgu=python-3140").json()["meta"]["total_count"] == 2
    assert len(client.ask("GET", "v2/release/?slgu=python-3140").json()) == 2
    assert client.ask("GET", "v2/release_file/?limit=0").status_code == 400
    assert client.ask("GET", "v1/release/?slug=python-3140").json()["meta"]["total_count"] == 1
    assert len(client.ask("GET", "v2/release/?is_published=false&slug=python-3140").json()) == 1


FILTERS = [
    ("v1/release_file/?url=x", {"error": "The 'url' field does not allow filtering."}),
    (
        "v2/release_file/?url=x",
        {"error": ["'exact' is not an allowed filter on the 'url' field."]},
    ),
    (
        "v2/release_file/?release=99",
        {"release": ["Select a valid choice. That choice is not one of the available choices."]},
    ),
]


@pytest.mark.parametrize(("path", "said"), FILTERS)
def test_filters_that_are_not_allowed_are_400(client: Client, path: str, said: object) -> None:
    answer = client.ask("GET", path)
    assert (answer.status_code, answer.json()) == (400, said)


def test_v1_filters_files_across_the_release(client: Client) -> None:
    client.add("v1/release_file/", **client.file())
    for query, count in (
        ("release__slug=python-3150a1&limit=0", 1),
        ("release__slug=other", 0),
        ("os__slug=windows", 0),
        ("release=99", 0),
    ):
        answer = client.ask("GET", f"v1/release_file/?{query}")
        assert answer.json()["meta"]["total_count"] == count


def test_bulk_deletion_asks_for_exactly_one_release(client: Client) -> None:
    client.add("v1/release_file/", **client.file())
    one = {"error": "Deleting release files requires exactly one 'release' filter."}
    assert client.ask("DELETE", "v1/release_file/").json() == one
    assert client.ask("DELETE", "v1/release_file/?release=1&os=2").json() == one
    wrong = {"error": "Invalid resource lookup data provided (mismatched type)."}
    assert client.ask("DELETE", "v1/release_file/?release=abc").json() == wrong
    bad = client.ask("DELETE", "v2/release_file/delete_by_release/")
    assert (bad.status_code, bad.content) == (400, b"")
    done = client.ask("DELETE", "v2/release_file/delete_by_release/?release=1&os=2")
    assert done.status_code == 204
    assert client.ask("GET", "v2/release_file/").json() == []


# --- buttons and the latest release -----------------------------------------------------------


def test_one_button_for_each_system_of_a_release(client: Client) -> None:
    client.add("v1/release_file/", **client.file(download_button=True))
    second = client.file(slug="xz", url=URL + "2", download_button=True)
    answer = client.ask("POST", "v1/release_file/", json=second)
    assert (answer.status_code, answer.json()) == (500, CANNED)
    client.add("v1/release_file/", **second | {"download_button": False})
    third = client.ask("PATCH", "v2/release_file/3/", json={"download_button": True})
    assert third.status_code == 500
    assert third.headers["Content-Type"].startswith("text/html")
    assert client.ask("PATCH", "v2/release_file/1/", json={"download_button": False}).ok
    assert client.ask("PATCH", "v2/release_file/3/", json={"download_button": True}).ok


def test_v2_refuses_a_file_beside_one_with_the_button(client: Client) -> None:
    client.add("v1/release_file/", **client.file(download_button=True))
    second = client.file("v2", slug="xz", url=URL + "2", download_button=False)
    answer = client.ask("POST", "v2/release_file/", json=second)
    assert answer.status_code == 400
    said = {"non_field_errors": ["The fields os, release must make a unique set."]}
    assert answer.json() == said
    other = second | {"os": "/api/v2/downloads/os/1/"}
    assert client.ask("POST", "v2/release_file/", json=other).status_code == 201


def test_a_new_latest_release_demotes_the_others_of_its_version(client: Client) -> None:
    for micro in (1, 2):
        client.add(
            "v2/release/",
            **DRAFT | {"slug": f"x{micro}", "is_latest": True, "is_published": True},
        )
    latest = {row["slug"]: row["is_latest"] for row in client.ask("GET", "v2/release/").json()}
    assert latest == {"python-3150a1": False, "x1": False, "x2": True}


# --- limits -----------------------------------------------------------------------------------


def test_limits_are_per_user_and_errors_count_only_in_v2(tmp_path: Path) -> None:
    now = datetime(2026, 5, 5, tzinfo=UTC)
    moment = [now]
    limits = Limits(v1_per_hour=3, v2_per_day=4, v2_anonymous_per_day=2)
    where = (tmp_path / "s.sqlite", tmp_path, tmp_path)
    with Site(*where, limits=limits, clock=lambda: moment[0]) as site:
        client = Client(site)
        for _ in range(3):
            assert client.ask("GET", "v1/os/99/").status_code == 404
            assert client.ask("GET", "v1/os/").status_code == 200
        late = client.ask("GET", "v1/os/")
        assert (late.status_code, late.content) == (429, b"")
        assert late.headers["Retry-After"] == "3600"
        statuses = [client.ask("GET", "v2/os/99/").status_code for _ in range(5)]
        assert statuses == [404, 404, 404, 404, 429]
        said = client.ask("GET", "v2/os/").json()["detail"]
        assert said == "Request was throttled. Expected available in 86400 seconds."
        statuses = [client.ask("GET", "v2/os/", key=None).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        moment[0] = now + timedelta(hours=1, seconds=1)
        assert client.ask("GET", "v1/os/").status_code == 200
        assert client.ask("GET", "v2/os/").status_code == 429
