from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version as Packaging

from relkit.cycle import Status
from relkit.errors import ReleaseError, UsageError
from relkit.kinds import AMENDMENTS, KINDS, RELEASES, TRANSITIONS, Kind, where
from relkit.opening import record_folder
from relkit.release import Release, Version, kind_of

HOSTILE = [
    "",
    " ",
    "3",
    "3.15",
    "3.15.0a",
    "3.15.0a0",
    "3.15.0rc0",
    "3.15.0rc01",
    "3.15.0a1; rm -rf ~",
    "3.14.0;id",
    "3.14.0 --x",
    "--help",
    "v3.15.0a1",
    "V3.15.0a1",
    "3.15.0A1",
    "3.15.0alpha1",
    "3.15.0c1",
    "3.15.0-a1",
    "3.15.0.a1",
    "3.15.0a1.dev0",
    "3.15.0a1+local",
    "3.15.0a1.post1",
    "3.15.0+",
    "1!3.15.0a1",
    "3.14.0\n",
    "\n3.14.0",
    "3.14.0\0",
    "3.14.0\r",
    "٣.14.0",
    "3.1٤.0",
    "3.15.0a\u0661",
    "3.15.0а1",  # noqa: RUF001 (a Cyrillic letter)
    "3.15.0a1\u200b",
    "03.14.0",
    "3.014.0",
    "3.14.00",
    "3.15.0a01",
    "2.7.18",
    "4.0.0",
    "3.100.0",
    "3.14.100",
    "3.15.0a100",
    "3.-1.0",
    "3.15.0.0",
    "../3.14.0",
    "3.14.0/..",
    "..",
    "$(id)",
    "`id`",
    "%2e%2e",
    "3" * 10_000,
    "3.15.0a1" + " " * 10_000,
]
# What papermill makes of `-p version 3.15`: it guesses numbers.
NO_TEXT: list[Any] = [3.15, 3, None, True, ["3.15.0a1"], b"3.15.0a1"]

versions = st.builds(
    Version,
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(["a", "b", "rc"]),
    st.integers(1, 99),
) | st.builds(Version, st.integers(0, 99), st.integers(0, 99))


@pytest.mark.parametrize("text", [*HOSTILE, *NO_TEXT], ids=lambda text: repr(text)[:24])
def test_what_is_no_version_is_refused_and_nothing_is_made(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for ask in (
        lambda: Version.parse(text),
        lambda: Release.parse(text, "", "2026-05-05"),
        lambda: record_folder(text, "records"),
    ):
        with pytest.raises(UsageError) as refusal:
            ask()
        assert refusal.value.code == "BAD_VERSION"
        assert refusal.value.exit_status == 2
        assert len(str(refusal.value)) < 200, "a refusal does not repeat ten kilobytes"
        assert str(refusal.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@given(versions)
def test_a_version_is_written_as_it_is_read(version: Version) -> None:
    assert Version.parse(str(version)) == version


@given(st.text(max_size=14) | st.from_regex(r"3\.[0-9]+\.[0-9]+(a|b|rc)?[0-9]*\s?"))
def test_what_is_read_is_written_unchanged(text: str) -> None:
    try:
        version = Version.parse(text)
    except UsageError:
        return
    assert str(version) == text


@given(versions, versions)
def test_versions_are_ordered_as_packaging_orders_them(one: Version, other: Version) -> None:
    theirs = Packaging(str(one)), Packaging(str(other))
    assert (one < other) == (theirs[0] < theirs[1])
    assert (one >= other) == (theirs[0] >= theirs[1])
    assert (one == other) == (theirs[0] == theirs[1])


@pytest.mark.parametrize(
    ("text", "spelled", "base", "series"),
    [
        ("3.15.0a1", "3.15.0 alpha 1", "3.15.0", "3.15"),
        ("3.15.0b2", "3.15.0 beta 2", "3.15.0", "3.15"),
        ("3.14.0rc3", "3.14.0 release candidate 3", "3.14.0", "3.14"),
        ("3.14.2", "3.14.2", "3.14.2", "3.14"),
    ],
)
def test_a_version_is_spelled_as_the_readme_has_it(
    text: str, spelled: str, base: str, series: str
) -> None:
    version = Version.parse(text)
    assert (version.spelled, version.base, version.series) == (spelled, base, series)


# Version and day of releases that were made or are planned, and the kind each had.
KIND_OF = [
    ("3.15.0a1", "2025-10-14", Kind.ALPHA),
    ("3.15.0a8", "2026-04-07", Kind.ALPHA),
    ("3.16.0a1", "2026-10-13", Kind.ALPHA),
    ("3.99.0a1", "2026-10-13", Kind.ALPHA),
    ("3.15.0b1", "2026-05-07", Kind.BETA_1),
    ("3.15.0b2", "2026-06-02", Kind.BETA),
    ("3.13.0b5", "2024-07-20", Kind.BETA),  # not planned: I41
    ("3.15.0rc1", "2026-08-04", Kind.RC_1),
    ("3.15.0rc2", "2026-09-01", Kind.RC),
    ("3.13.0rc3", "2024-10-01", Kind.RC),  # not planned: I41
    ("3.15.0rc4", "2026-10-15", Kind.RC),  # after the planned day of the final
    ("3.14.5rc1", "2026-05-04", Kind.RC_1),  # of a patch release: I41
    ("3.14.5rc2", "2026-05-06", Kind.RC),
    ("3.15.0", "2026-10-01", Kind.FINAL),
    ("3.15.0", "2026-09-29", Kind.FINAL),
    ("3.13.0", "2024-10-07", Kind.FINAL),
    ("3.14.2", "2025-12-05", Kind.BUGFIX),
    ("3.14.10", "2027-02-02", Kind.BUGFIX),
    ("3.12.10", "2025-04-08", Kind.BUGFIX),  # the last day of bugfixes
    ("3.12.11", "2025-06-03", Kind.SECURITY),
    ("3.9.25", "2025-10-31", Kind.SECURITY),  # the last day of all
]


@pytest.mark.parametrize(("text", "day", "kind"), KIND_OF)
def test_the_kind_follows_from_version_and_day(text: str, day: str, kind: Kind) -> None:
    """I41: any number of candidates, even of a patch release."""
    assert Release.parse(text, "", day).kind == kind
    assert Release.parse(text, kind, day).kind == kind


def test_each_kind_of_release_is_one_of_the_table() -> None:
    assert {kind for _, _, kind in KIND_OF} == RELEASES


@given(versions, st.sampled_from(["prerelease", "bugfix", "security", "end-of-life"]))
def test_a_version_is_of_one_kind_or_of_none(version: Version, status: Status) -> None:
    if version.micro and version.level == "final" and status not in {"bugfix", "security"}:
        with pytest.raises(UsageError, match="KIND_CONFLICT"):
            kind_of(version, status)
        return
    if version.micro and version.level != "final":
        return  # a patch release has no alphas and betas, and candidates only with bugfixes
    kind = kind_of(version, status)
    assert kind in RELEASES
    assert KINDS[kind].stable == (version.level == "final")
    assert kind_of(version, status, kind) == kind


@pytest.mark.parametrize(
    ("version", "kind", "day", "code"),
    [
        ("3.15.0a1", "beta", "2026-05-05", "KIND_CONFLICT"),
        ("3.15.0a1", "ALPHA", "2026-05-05", "KIND_CONFLICT"),
        ("3.15.0a1", "../alpha", "2026-05-05", "KIND_CONFLICT"),
        ("3.15.0b1", "alpha", "2026-05-05", "KIND_CONFLICT"),
        ("3.15.0b2", "beta-1", "2026-05-05", "KIND_CONFLICT"),
        ("3.15.0rc1", "rc", "2026-08-04", "KIND_CONFLICT"),
        ("3.15.0rc2", "rc-1", "2026-09-01", "KIND_CONFLICT"),
        ("3.14.5rc1", "bugfix", "2026-05-04", "KIND_CONFLICT"),
        ("3.14.2", "security", "2026-05-05", "KIND_CONFLICT"),
        ("3.12.13", "bugfix", "2026-03-03", "KIND_CONFLICT"),
        ("3.12.10", "security", "2025-04-08", "KIND_CONFLICT"),
        ("3.9.26", "security", "2025-11-01", "KIND_CONFLICT"),
        ("3.9.26", "", "2026-03-03", "KIND_CONFLICT"),
        ("3.8.21", "", "2026-03-03", "KIND_CONFLICT"),
        ("3.15.1", "", "2026-09-01", "KIND_CONFLICT"),
        ("3.14.2a1", "alpha", "2026-05-05", "BAD_VERSION"),
        ("3.14.2b1", "", "2026-05-05", "BAD_VERSION"),
    ],
)
def test_a_kind_that_does_not_fit_is_refused(version: str, kind: str, day: str, code: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Release.parse(version, kind, day)
    assert refusal.value.code == code
    assert refusal.value.remedy


def test_a_kind_is_no_other_one_because_a_branch_says_so() -> None:
    """The data decides with the day of the release, not with the day it is read."""
    assert Release.parse("3.12.10", "", "2025-04-08").kind == Kind.BUGFIX
    assert Release.parse("3.12.10", "", "2025-04-09").kind == Kind.SECURITY


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_example_of_a_kind_is_of_that_kind(kind: Kind) -> None:
    facts, day = KINDS[kind], {Kind.SECURITY: "2026-03-03"}.get(kind, "2026-05-05")
    release = Release.parse(facts.example, kind, day)
    assert (release.kind, release.name) == (kind, facts.example)


@pytest.mark.parametrize("kind", sorted(TRANSITIONS))
def test_a_transition_is_about_a_branch(kind: Kind) -> None:
    release = Release.parse("3.13", kind, "2026-10-08")
    assert (release.name, release.branch) == ("3.13", "3.13")
    assert release.key == f"3.13-{kind}"
    assert release.platforms == ()
    assert not release.is_newest


@pytest.mark.parametrize("kind", sorted(TRANSITIONS))
@pytest.mark.parametrize(
    "subject",
    [
        "",
        "3",
        "3.13.0",
        "3.13.1",
        "v3.13",
        "main",
        "3.013",
        "3.100",
        "3.1\u0663",
        "3.13\n",
        " 3.13",
    ],
    ids=repr,
)
def test_what_is_no_branch_has_no_transition(kind: Kind, subject: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Release.parse(subject, kind, "2026-10-08")
    assert refusal.value.code == "BAD_VERSION"


@pytest.mark.parametrize("given_as", NO_TEXT, ids=repr)
def test_a_branch_given_as_a_number_is_refused(given_as: Any) -> None:  # noqa: ANN401 (wrong types)
    """Papermill takes `-p version 3.13` for a number; 3.10 would become 3.1."""
    with pytest.raises(UsageError) as refusal:
        Release.parse(given_as, "begin-bugfix", "2026-10-08")
    assert refusal.value.code == "BAD_VERSION"


def test_a_branch_without_a_kind_is_no_release() -> None:
    with pytest.raises(UsageError) as refusal:
        Release.parse("3.13", "", "2026-10-08")
    assert refusal.value.code == "BAD_VERSION"


ONE, OTHER = "1" * 40, "2" * 40


@pytest.mark.parametrize(
    ("version", "day", "picks", "read"),
    [
        ("3.15.0rc2", "2026-09-01", "", ()),
        ("3.15.0rc2", "2026-09-01", ONE, (ONE,)),
        ("3.15.0rc3", "2026-09-15", f"{OTHER} {ONE}", (OTHER, ONE)),
        ("3.15.0", "2026-10-01", f"  {ONE}\n{OTHER} ", (ONE, OTHER)),
        ("3.14.5rc2", "2026-05-06", ONE, (ONE,)),
    ],
)
def test_picks_are_full_commit_ids_in_their_order(
    version: str, day: str, picks: str, read: tuple[str, ...]
) -> None:
    assert Release.parse(version, "", day, picks).picks == read


@pytest.mark.parametrize(
    ("version", "day", "picks"),
    [
        ("3.15.0rc2", "2026-09-01", "1" * 39),
        ("3.15.0rc2", "2026-09-01", "1" * 41),
        ("3.15.0rc2", "2026-09-01", "A" * 40),
        ("3.15.0rc2", "2026-09-01", "main"),
        ("3.15.0rc2", "2026-09-01", "--all"),
        ("3.15.0rc2", "2026-09-01", f"{ONE} {ONE}"),
        ("3.15.0rc2", "2026-09-01", f"{ONE},{OTHER}"),
        ("3.15.0rc2", "2026-09-01", f"{ONE}..{OTHER}"),
        ("3.15.0rc2", "2026-09-01", "\u0661" * 40),
        ("3.15.0rc2", "2026-09-01", "x" * 10_000),
        ("3.15.0rc2", "2026-09-01", 1),
        ("3.15.0rc2", "2026-09-01", None),
        ("3.15.0a1", "2026-05-05", ONE),
        ("3.15.0b1", "2026-05-07", ONE),
        ("3.15.0rc1", "2026-08-04", ONE),
        ("3.14.2", "2025-12-05", ONE),
        ("3.12.13", "2026-03-03", ONE),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_picks_that_cannot_be_picked_are_refused(version: str, day: str, picks: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Release.parse(version, "", day, picks)
    assert refusal.value.code == "BAD_PICKS"
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("version", "day", "newest"),
    [
        ("3.15.0a1", "2025-10-14", False),
        ("3.15.0rc2", "2026-09-01", False),  # a preview is never offered first: I25
        ("3.14.7", "2026-08-05", True),
        ("3.13.15", "2026-08-05", False),
        ("3.12.13", "2026-03-03", False),
        ("3.15.0", "2026-10-01", True),
        ("3.14.8", "2026-10-01", False),
        ("3.14.5rc1", "2026-05-04", False),
    ],
)
def test_only_a_stable_release_of_the_newest_series_is_offered_first(
    version: str, day: str, *, newest: bool
) -> None:
    assert Release.parse(version, "", day).is_newest == newest


def test_kinds_are_found_by_their_facts() -> None:
    assert where(new_branch=True) == {Kind.BETA_1}
    assert where(first=True) == {Kind.FINAL}
    assert where(publishes=True, installers=False) == {Kind.SECURITY}
    assert where(from_main=True) == {Kind.ALPHA, Kind.BETA_1}
    assert where(stable=True) == {Kind.FINAL, Kind.BUGFIX, Kind.SECURITY}
    assert where(docs=True) == where(stable=True) | {Kind.RC_1, Kind.RC}
    assert where() == frozenset(KINDS)
    assert frozenset(KINDS) == RELEASES | TRANSITIONS | AMENDMENTS


def test_an_empty_kind_is_the_one_that_the_version_implies() -> None:
    release = Release.parse("3.15.0a1", "", "2026-05-05")
    assert release == Release.parse("3.15.0a1", "alpha", "2026-05-05")


def test_a_day_is_noon_and_a_time_is_taken_as_it_is() -> None:
    day = Release.parse("3.15.0a1", "", "2026-05-05")
    assert day.time == datetime(2026, 5, 5, 12, tzinfo=UTC)
    time = Release.parse("3.15.0a1", "", "2026-05-05T23:59:58Z")
    assert time.time == datetime(2026, 5, 5, 23, 59, 58, tzinfo=UTC)
    assert f"{day.day}" == f"{time.day}" == "2026-05-05"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "2026-02-30",
        "2026-13-01",
        "2026-5-5",
        "26-05-2026",
        "2026-W19-2",
        "20260505",
        " 2026-05-05",
        "2026-05-05\n",
        "\u0662026-05-05",
        "\u0662026-05-05T10:00:00Z",
        "2026-05-05T10:00:00",
        "2026-05-05T10:00:00+00:00",
        "2026-05-05T10:00:00.5Z",
        "2026-05-05T1:2:3Z",
        "2026-05-05T10:00:61Z",
        "2026-05-05T24:00:00Z",
        "2026-05-05t10:00:00z",
        "2026-05-05T10:00:00Z; id",
        "1969-12-31",
        "0001-01-01",
        20260505,
        "9" * 10_000,
    ],
    ids=lambda text: repr(text)[:26],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Release.parse("3.15.0a1", "", text)
    assert refusal.value.code == "BAD_DATE"
    assert len(str(refusal.value)) < 200


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31, 23, 59, 59))  # noqa: DTZ001
)
def test_a_recorded_time_is_read_back(time: datetime) -> None:
    time = time.replace(microsecond=0, tzinfo=UTC)
    release = Release.parse("3.15.0a1", "", f"{time:%Y-%m-%dT%H:%M:%SZ}")
    assert release.time == time
    assert release.time.utcoffset() == timedelta(0)


def test_what_a_release_is_called_follows_from_its_version() -> None:
    release = Release.parse("3.15.0a1", "alpha", "2026-05-05")
    assert release.tag == "v3.15.0a1"
    assert release.branch == "main"
    assert release.fork_branch == "release-3.15.0a1"
    assert release.slug == "python-3150a1"
    assert release.folder == "ftp/python/3.15.0"
    assert (release.name, release.key) == ("3.15.0a1", "3.15.0a1")


def test_a_candidate_shares_its_folder_and_has_docs_of_its_own() -> None:
    release = Release.parse("3.15.0rc1", "", "2026-08-04")
    assert release.branch == "3.15"
    assert release.folder == "ftp/python/3.15.0"
    assert release.docs_folder == "ftp/python/doc/3.15.0rc1"


@pytest.mark.parametrize(
    ("version", "day", "gpg", "platforms"),
    [
        ("3.13.0a6", "2024-04-09", True, ("windows", "macos")),
        ("3.14.0a1", "2024-10-15", False, ("windows", "macos", "android")),
        ("3.15.0a1", "2025-10-14", False, ("windows", "macos", "android", "ios")),
        ("3.14.2", "2025-12-05", False, ("windows", "macos", "android")),
        ("3.12.13", "2026-03-03", True, ()),
        ("3.14.20", "2028-03-03", False, ()),
    ],
)
def test_what_is_signed_and_built_depends_on_series_and_kind(
    version: str,
    day: str,
    gpg: bool,  # noqa: FBT001 (a value of the table)
    platforms: tuple[str, ...],
) -> None:
    release = Release.parse(version, "", day)
    assert (release.uses_gpg, release.platforms) == (gpg, platforms)


def test_every_refusal_shows_its_code_and_what_to_do_and_no_traceback() -> None:
    def below(kind: type[ReleaseError]) -> set[type[ReleaseError]]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    for kind in below(ReleaseError):
        error = kind("a is not b", code="NOT_B", remedy="Make it b.")
        shown = error._render_traceback_()
        assert shown == [f"{kind.__name__}: NOT_B: a is not b", "What to do: Make it b."]
        assert kind.exit_status in {1, 2, 3, 4, 75}
