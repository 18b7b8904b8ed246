from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version as Packaging

from relkit.errors import ReleaseError, UsageError
from relkit.opening import record_folder
from relkit.release import RELEASES, Kind, Release, Version, kind_of

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


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("3.15.0a1", Kind.ALPHA),
        ("3.15.0a9", Kind.ALPHA),
        ("3.15.0b1", Kind.BETA_1),
        ("3.15.0b2", Kind.BETA),
        ("3.15.0b10", Kind.BETA),
        ("3.15.0rc1", Kind.RC_1),
        ("3.15.0rc2", Kind.RC),
        ("3.15.0", Kind.FINAL),
        ("3.15.1", Kind.BUGFIX),
    ],
)
def test_the_kind_follows_from_the_version(text: str, kind: Kind) -> None:
    assert kind_of(Version.parse(text)) == kind


@pytest.mark.parametrize(
    ("version", "kind", "code"),
    [
        ("3.15.0a1", "beta", "KIND_CONFLICT"),
        ("3.15.0a1", "ALPHA", "KIND_CONFLICT"),
        ("3.15.0a1", "../alpha", "KIND_CONFLICT"),
        ("3.15.0b1", "alpha", "KIND_CONFLICT"),
        ("3.15.0b1", "", "KIND_UNKNOWN"),
        ("3.15.0rc1", "rc-1", "KIND_UNKNOWN"),
        ("3.15.0", "final", "KIND_UNKNOWN"),
        ("3.14.2", "bugfix", "KIND_UNKNOWN"),
        ("3.14.2a1", "alpha", "BAD_VERSION"),
    ],
)
def test_a_kind_that_does_not_fit_or_is_not_made_is_refused(
    version: str, kind: str, code: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        Release.parse(version, kind, "2026-05-05")
    assert refusal.value.code == code
    assert refusal.value.remedy


def test_an_empty_kind_is_the_one_that_the_version_implies() -> None:
    release = Release.parse("3.15.0a1", "", "2026-05-05")
    assert release == Release.parse("3.15.0a1", "alpha", "2026-05-05")
    assert release.kind in RELEASES


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


@pytest.mark.parametrize(
    ("version", "gpg", "platforms"),
    [
        ("3.13.0a6", True, ("windows", "macos")),
        ("3.14.0a1", False, ("windows", "macos", "android")),
        ("3.15.0a1", False, ("windows", "macos", "android", "ios")),
    ],
)
def test_what_is_signed_and_built_depends_on_the_series(
    version: str,
    gpg: bool,  # noqa: FBT001 (a value of the table)
    platforms: tuple[str, ...],
) -> None:
    release = Release.parse(version, "", "2026-05-05")
    assert (release.uses_gpg, release.platforms) == (gpg, platforms)


def test_every_refusal_shows_its_code_and_what_to_do_and_no_traceback() -> None:
    def below(kind: type[ReleaseError]) -> set[type[ReleaseError]]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    for kind in below(ReleaseError):
        error = kind("a is not b", code="NOT_B", remedy="Make it b.")
        shown = error._render_traceback_()
        assert shown == [f"{kind.__name__}: NOT_B: a is not b", "What to do: Make it b."]
        assert kind.exit_status in {1, 2, 3, 4, 75}
