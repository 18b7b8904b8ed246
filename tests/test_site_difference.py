"""The order of writes that turns rows into others: whatever is stopped, nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from site_desk import row

from relkit.adapters.website_difference import changes
from relkit.values import SiteFile

Rows = tuple[SiteFile, ...]
NUMBERS = st.lists(st.integers(0, 11), unique=True, max_size=10)


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """Return rows as a release can have them: at most one button for each of five systems."""
    held: set[str] = set()
    found = []
    for number in draw(NUMBERS):
        one = row(number, description=draw(st.sampled_from(("", "Recommended"))))
        button = draw(st.booleans()) and one.os not in held
        held |= {one.os} if button else set()
        found.append(one.model_copy(update={"download_button": button}))
    return tuple(sorted(found, key=lambda one: one.slug))


def applied(there: Rows, change: tuple[SiteFile | None, SiteFile | None]) -> Rows:
    """Return what the site has after a write; it must have had what the write is about."""
    before, after = change
    found = {one.url: one for one in there}
    if before is None:
        assert after is not None
        assert after.url not in found
    else:
        assert found.pop(before.url) == before
    if after is not None:
        found[after.url] = after
    buttons = [one.os for one in found.values() if one.download_button]
    assert len(buttons) == len(set(buttons)), "the site refuses a second button"
    return tuple(sorted(found.values(), key=lambda one: one.slug))


@given(before=rows(), after=rows(), stop=st.integers(0, 40))
def test_no_row_is_away_that_is_there_before_and_after_and_a_stopped_change_goes_on(
    before: Rows, after: Rows, stop: int
) -> None:
    """I29: rows were deleted before there were new ones."""
    stays = {one.url for one in before} & {one.url for one in after}
    there, writes = before, changes(before, after, before)
    for change in writes[:stop]:
        there = applied(there, change)
        assert stays <= {one.url for one in there}
    rest = changes(before, after, there)
    assert rest == writes[stop:] or len(rest) == len(writes[stop:])
    for change in rest:
        there = applied(there, change)
        assert stays <= {one.url for one in there}
    assert there == after
    assert changes(before, after, there) == ()


@given(before=rows(), after=rows())
def test_a_change_and_the_way_back_leave_what_was_there(before: Rows, after: Rows) -> None:
    there = before
    for old, new in ((before, after), (after, before)):
        for change in changes(old, new, there):
            there = applied(there, change)
    assert there == before


@given(before=rows(), after=rows())
def test_rows_that_go_are_last_and_a_button_is_away_for_one_write(
    before: Rows, after: Rows
) -> None:
    writes = changes(before, after, before)
    removed = [new is None for _, new in writes]
    assert removed == sorted(removed)
    for number, (old, new) in enumerate(writes):
        if old and new and old.download_button and not new.download_button:
            heir = [x for x in after if x.os == old.os and x.download_button]
            if heir:
                _, following = writes[number + 1]
                assert following == heir[0]
