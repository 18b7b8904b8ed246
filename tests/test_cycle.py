"""The release cycle: the committed dates against what was really released, and their order."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.cycle import Cycle, Series, Status, cycle
from relkit.errors import UsageError

DAY = timedelta(days=1)
STATUSES: list[Status] = ["prerelease", "bugfix", "security", "end-of-life"]
series = st.sampled_from(sorted(cycle().series))
days = st.dates(date(2019, 1, 1), date(2035, 1, 1))

# From release_management/python-releases.toml of python/peps at ba4deeb7 (2026-08-22).
MADE: list[tuple[str, date, Status]] = [
    ("3.9", date(2020, 10, 5), "bugfix"),
    ("3.9", date(2022, 5, 17), "bugfix"),  # 3.9.13, with installers
    ("3.9", date(2022, 9, 6), "security"),  # 3.9.14
    ("3.9", date(2025, 10, 31), "security"),  # 3.9.25, on its last day
    ("3.9", date(2025, 11, 1), "end-of-life"),
    ("3.10", date(2021, 10, 3), "prerelease"),
    ("3.10", date(2021, 10, 4), "bugfix"),
    ("3.10", date(2023, 4, 5), "bugfix"),  # 3.10.11
    ("3.10", date(2023, 6, 6), "security"),  # 3.10.12
    ("3.10", date(2026, 3, 3), "security"),  # 3.10.20
    ("3.11", date(2024, 4, 2), "bugfix"),  # 3.11.9
    ("3.11", date(2024, 9, 7), "security"),  # 3.11.10
    ("3.12", date(2025, 4, 8), "bugfix"),  # 3.12.10
    ("3.12", date(2025, 6, 3), "security"),  # 3.12.11
    ("3.12", date(2026, 3, 3), "security"),  # 3.12.13
    ("3.13", date(2026, 8, 5), "bugfix"),  # 3.13.15
    ("3.13", date(2026, 10, 6), "bugfix"),  # 3.13.16, planned: its last one with installers
    ("3.13", date(2026, 10, 8), "security"),
    ("3.14", date(2025, 10, 7), "bugfix"),
    ("3.14", date(2026, 8, 5), "bugfix"),  # 3.14.7
    ("3.15", date(2026, 8, 4), "prerelease"),  # 3.15.0rc1
    ("3.16", date(2026, 10, 13), "prerelease"),  # 3.16.0a1, planned
]


@pytest.mark.parametrize(("name", "day", "status"), MADE, ids=str)
def test_a_release_that_was_made_finds_its_series_in_the_status_it_had(
    name: str, day: date, status: Status
) -> None:
    assert cycle().status(name, day) == status


def test_the_dates_of_a_series_are_in_order_and_supported_for_years() -> None:
    for one in cycle().series.values():
        assert one.first < one.bugfix_until < one.end_of_life
        assert 500 < (one.bugfix_until - one.first).days < 800
        assert 5 * 365 <= (one.end_of_life - one.first).days < 5 * 365 + 60


def test_series_follow_each_other_without_a_gap_in_numbers_and_time() -> None:
    names = list(cycle().series)
    numbers = [int(name.removeprefix("3.")) for name in names]
    assert numbers == list(range(9, 9 + len(names)))
    for one, following in pairwise(cycle().series.values()):
        assert one.first < following.first
        assert one.bugfix_until < following.bugfix_until
        assert one.end_of_life < following.end_of_life


def test_what_was_looked_up_is_not_from_the_future_of_its_plans() -> None:
    looked_up = cycle().looked_up
    assert any(one.first > looked_up for one in cycle().series.values())
    assert cycle().status("3.14", looked_up) == "bugfix"
    assert cycle().status("3.15", looked_up) == "prerelease"


@given(series, days)
def test_a_status_never_goes_back(name: str, day: date) -> None:
    places = [STATUSES.index(cycle().status(name, day + DAY * n)) for n in (0, 1, 100)]
    assert places == sorted(places)


@given(series)
def test_the_last_day_of_a_status_belongs_to_it(name: str) -> None:
    one = cycle().series[name]
    assert one.status(one.first - DAY) == "prerelease"
    assert one.status(one.first) == one.status(one.bugfix_until) == "bugfix"
    assert one.status(one.bugfix_until + DAY) == one.status(one.end_of_life) == "security"
    assert one.status(one.end_of_life + DAY) == "end-of-life"


@given(days)
def test_a_series_without_dates_is_not_released_yet(day: date) -> None:
    assert cycle().status("3.99", day) == "prerelease"


@pytest.mark.parametrize(
    ("day", "newest"),
    [
        (date(2020, 10, 5), "3.9"),
        (date(2021, 10, 3), "3.9"),
        (date(2021, 10, 4), "3.10"),
        (date(2026, 9, 30), "3.14"),
        (date(2026, 10, 1), "3.15"),
        (date(2030, 1, 1), "3.16"),
    ],
    ids=str,
)
def test_the_newest_series_is_the_one_that_came_out_last(day: date, newest: str) -> None:
    assert cycle().newest(day) == newest


def test_numbers_are_compared_and_not_their_spelling() -> None:
    """As text, 3.9 is greater than 3.10."""
    row = Series(date(2020, 1, 1), date(2021, 1, 1), date(2025, 1, 1))
    assert Cycle(date(2020, 1, 1), {"3.9": row, "3.10": row}).newest(date(2020, 1, 1)) == "3.10"


def test_before_the_first_series_there_is_no_newest_one() -> None:
    with pytest.raises(UsageError) as refusal:
        cycle().newest(date(2020, 10, 4))
    assert refusal.value.code == "NO_SERIES"
