"""The port `Announcements`: the same statements about its local form and the real one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from git_helpers import refused
from hostile import STRINGS
from words_helpers import (
    DATA,
    RM,
    Reach,
    Reaches,
    announcements,
    attempt,
    commits,
    git,
    local_data,
    put,
    shown,
)

from relkit.adapters.git_clone import clear_locks
from relkit.adapters.git_file import Elsewhere
from relkit.adapters.release_data import PATH
from relkit.ports import Announcements
from relkit.rehearsal.ports import LocalAnnouncements

SSH = pytest.param("ssh", marks=pytest.mark.slow)
REAL = pytest.mark.parametrize("form", ["file", SSH])
ALL = pytest.mark.parametrize("form", ["local", "file", SSH])


@pytest.fixture(scope="module")
def reaches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reaches]:
    with Reaches(tmp_path_factory.mktemp("reach")) as found:
        yield found


def made(form: str, folder: Path, reaches: Reaches) -> Announcements:
    if form != "local":
        return announcements(folder, reaches[form])
    return LocalAnnouncements(folder=folder / "drafts", peps=local_data(folder))


@ALL
def test_a_draft_is_read_back_and_the_same_again_changes_nothing(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    assert port.drafted(channel="blog") is None
    for text in ("Püthon\r\n", "Püthon\r\n", "other\n"):
        port.draft(channel="blog", text=text)
        port.draft(channel="discuss", text=text)
        assert port.drafted(channel="blog") == port.drafted(channel="discuss") == text
    assert len(list((tmp_path / "drafts").glob("*.old.md"))) == 2


@ALL
def test_a_release_counts_once_it_is_recorded_and_again_changes_nothing(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    before = len(commits(tmp_path / "peps.git"))
    assert port.recorded_release(series="3.15", version="3.15.0b1") is None
    for _ in range(2):
        port.record_release(series="3.15", version="3.15.0b1", day="2026-05-08")
        assert port.recorded_release(series="3.15", version="3.15.0b1") == "2026-05-08"
    assert len(commits(tmp_path / "peps.git")) == before + 1


@ALL
def test_a_release_that_was_recorded_by_others_for_another_day_keeps_it(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    port.record_release(series="3.15", version="3.15.0b1", day="2026-05-08")
    ours = partial(port.record_release, series="3.15", version="3.15.0b1", day="2026-05-07")
    words = refused("RELEASE_DATA", ours)
    assert "2026-05-07" in words
    assert "2026-05-08" in words
    assert port.recorded_release(series="3.15", version="3.15.0b1") == "2026-05-08"


@ALL
def test_a_status_is_set_once(form: str, tmp_path: Path, reaches: Reaches) -> None:
    port = made(form, tmp_path, reaches)
    before = len(commits(tmp_path / "peps.git"))
    assert (port.status(series="3.15"), port.status(series="3.99")) == ("feature", None)
    for _ in range(2):
        port.set_status(series="3.15", status="prerelease")
        assert port.status(series="3.15") == "prerelease"
    assert port.status(series="3.14") == "bugfix"
    assert len(commits(tmp_path / "peps.git")) == before + 1


@ALL
def test_what_is_no_release_series_status_or_day_is_refused_and_changes_nothing(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    before = git(tmp_path / "peps.git", "for-each-ref")
    day = "2026-05-08"
    refused("BAD_SERIES", lambda: port.record_release(series="3.14", version="3.15.0b1", day=day))
    refused("BAD_DATE", lambda: port.record_release(series="3.15", version="3.15.0b1", day="may"))
    refused(
        "BAD_DATE", lambda: port.record_release(series="3.15", version="3.15.0b1", day="20260508")
    )
    refused("BAD_STATUS", lambda: port.set_status(series="3.15", status="done"))
    refused("BAD_NAME", lambda: port.draft(channel="../blog", text="x"))
    assert git(tmp_path / "peps.git", "for-each-ref") == before


@pytest.mark.parametrize("form", ["local", "file"])
def test_hostile_words_are_refused_or_kept_as_they_are_and_do_nothing(
    form: str, tmp_path: Path, reaches: Reaches, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    port = made(form, tmp_path, reaches)
    before = git(tmp_path / "peps.git", "for-each-ref")
    outside = sorted(tmp_path.iterdir())
    for word in STRINGS:
        for call in (
            lambda word=word: port.record_release(
                series=word, version="3.15.0b1", day="2026-05-08"
            ),
            lambda word=word: port.record_release(series="3.15", version=word, day="2026-05-08"),
            lambda word=word: port.record_release(series="3.15", version="3.15.0b1", day=word),
            lambda word=word: port.recorded_release(series=word, version="3.15.0b1"),
            lambda word=word: port.recorded_release(series="3.15", version=word),
            lambda word=word: port.set_status(series=word, status="bugfix"),
            lambda word=word: port.set_status(series="3.15", status=word),
            lambda word=word: port.status(series=word),
        ):
            error = attempt(call)
            assert error is not None, ascii(word)
            assert error.code.isupper()
        if attempt(lambda word=word: port.draft(channel=word, text="x")) is None:
            assert port.drafted(channel=word) == "x"
        if attempt(lambda word=word: port.draft(channel="discuss", text=word)) is None:
            assert port.drafted(channel="discuss") == word
        error = attempt(lambda word=word: port.post(url=word))
        assert (error.code if error else "") == ("" if form == "local" else "POST_PLACE")
    assert git(tmp_path / "peps.git", "for-each-ref") == before
    assert [*(tmp_path / "here").iterdir()] == []
    assert {*tmp_path.iterdir()} - {*outside} <= {tmp_path / "drafts", tmp_path / "copies"}


# --- what only the real form has ---------------------------------------------------------------


@REAL
def test_the_data_and_the_pep_change_in_one_commit_by_the_release_manager(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    peps = tmp_path / "peps.git"
    port.record_release(series="3.15", version="3.15.0b1", day="2026-05-07")
    assert git(peps, "diff", "--name-only", "main~", "main").split() == ["peps/pep-0790.rst", PATH]
    assert shown(peps, PATH) == DATA.replace("expected", "actual")
    assert shown(peps, "peps/pep-0790.rst").splitlines()[2:15] == [
        ".. release schedule: feature",
        "",
        "Actual:",
        "",
        "- 3.15 development begins: Wednesday, 2025-05-07",
        "- 3.15.0 alpha 7: Tuesday, 2026-03-10",
        "- 3.15.0 beta 1: Thursday, 2026-05-07",
        "  (a long one)",
        "  (No new features beyond this point.)",
        "",
        ".. release schedule: ends",
        "",
        "Words after.",
    ]
    assert git(peps, "log", "-1", "--format=%an <%ae> %cI %s").strip() == (
        f"{RM.name} <{RM.email}> 2026-05-07T12:00:00+00:00 Python 3.15.0b1 is released"
    )


def test_a_release_that_was_not_expected_gets_its_place_among_those_of_its_series(
    tmp_path: Path, reaches: Reaches
) -> None:
    port = made("file", tmp_path, reaches)
    port.record_release(series="3.14", version="3.14.2", day="2025-12-05")
    port.record_release(series="3.14", version="3.14.2rc1", day="2025-12-03")
    port.record_release(series="3.15", version="3.15.0a8", day="2026-04-07")
    text = shown(tmp_path / "peps.git", PATH)
    assert [one["stage"] for one in tomllib.loads(text)["release"]["3.14"]] == [
        *("3.14.0 final", "3.14.1", "3.14.2 candidate 1", "3.14.2")
    ]
    assert [one["stage"] for one in tomllib.loads(text)["release"]["3.15"]] == [
        *("3.15.0 alpha 7", "3.15.0 alpha 8", "3.15.0 beta 1")
    ]
    assert text.index('"3.14.2"') < text.index("# -- 3.15 ----")


def test_a_series_that_has_no_pep_is_not_added(tmp_path: Path, reaches: Reaches) -> None:
    port = made("file", tmp_path, reaches)
    refused("SERIES_UNKNOWN", lambda: port.set_status(series="3.99", status="feature"))
    assert len(commits(tmp_path / "peps.git")) == 1


@REAL
def test_the_post_is_a_commit_on_a_branch_of_its_own_for_a_pull_request(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    blog, path = tmp_path / "blog.git", "content/posts/python-3150b1/index.md"
    port.draft(channel="blog", text="---\n---\nHello\n")
    assert shown(blog, path, "release") == "---\n---\nHello\n"
    assert commits(blog, "main") == ["Somebody else's"]
    assert commits(blog, "release") == ["Draft the post python-3150b1", "Somebody else's"]
    put(blog, {path: "the manager's own words"}, "release")
    said = refused("DRAFT_CHANGED", lambda: port.draft(channel="blog", text="new"))
    assert "neither the draft from before" in said
    assert shown(blog, path, "release") == "the manager's own words"
    assert port.drafted(channel="blog") == "the manager's own words"


def test_without_a_blog_the_post_is_only_drafted(tmp_path: Path) -> None:
    port = announcements(tmp_path, Reach(), blog=False)
    port.draft(channel="blog", text="x")
    assert port.drafted(channel="blog") == "x"
    assert commits(tmp_path / "blog.git") == ["Somebody else's"]


@REAL
def test_a_copy_that_a_killed_run_left_half_made_or_locked_is_used_again(
    form: str, tmp_path: Path, reaches: Reaches, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = partial(clear_locks, patience_seconds=0.0)
    monkeypatch.setattr("relkit.adapters.git_branches.clear_locks", soon)
    copy = tmp_path / "copies/peps.git"
    copy.mkdir(parents=True)
    (copy / "HEAD").write_text("ref: refs/heads/main\n")
    port = made(form, tmp_path, reaches)
    assert port.status(series="3.15") == "feature"
    (copy / "shallow.lock").write_text("")
    (copy / "refs/relkit").mkdir(exist_ok=True)
    put(tmp_path / "peps.git", {"other": "x"})
    port.set_status(series="3.15", status="prerelease")
    assert port.status(series="3.15") == "prerelease"


@pytest.mark.parametrize(
    "url", ["ext::sh -c id", "--upload-pack=id", "http://x/y", "https://u:p@x/y", "peps.git", ""]
)
def test_an_address_that_is_none_is_refused_before_anything_is_begun(
    url: str, tmp_path: Path
) -> None:
    place = Elsewhere("it", tmp_path / "copy", "/peps.git", "main", ("file", "ssh", "https"))
    refused("BAD_URL", lambda: replace(place, url=url))
    for name in ("", "-f", "a b", "../x", "a..b", "refs/heads/a:b"):
        refused("BAD_REF", partial(replace, place, branch=name))


def test_a_link_in_the_place_of_the_data_is_not_followed(tmp_path: Path, reaches: Reaches) -> None:
    port = made("file", tmp_path, reaches)
    peps = tmp_path / "peps.git"
    blob = git(peps, "hash-object", "-w", "--stdin", given=b"/etc/passwd").strip()
    git(peps, "read-tree", "main")
    git(peps, "update-index", "--add", "--cacheinfo", f"120000,{blob},{PATH}")
    tree = git(peps, "write-tree").strip()
    git(peps, "update-ref", "refs/heads/main", git(peps, "commit-tree", tree, "-m", "x").strip())
    refused("FILE_UNREADABLE", lambda: port.status(series="3.15"))
