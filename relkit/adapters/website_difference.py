"""What must be written so that the file rows of a release become others, and in which order.

Rows are the same row if their addresses are. The order keeps every row that is there before and
after there all the time: new rows, changed fields, download buttons (off and on at once, since a
system has at most one), and removed rows last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from relkit.adapters.website_rows import conflict, differences, diverged, refusal
from relkit.values import SiteFile

Change = tuple[SiteFile | None, SiteFile | None]
"""One write: a row as it is (None: there is none), and as it becomes (None: it is removed)."""
Rows = Mapping[str, SiteFile]
"""Rows by address."""


def changes(
    before: Sequence[SiteFile], after: Sequence[SiteFile], there: Sequence[SiteFile]
) -> tuple[Change, ...]:
    """Return the writes, in order, that are left of a change from rows `before` to rows `after`.

    `there` is what the site has. It must be what the change, stopped anywhere, leaves; what else
    is found is of somebody else: ``API_DIVERGED``, ``SITE_CONFLICT``.
    """
    old, new, now = _by_url(before), _by_url(after), _by_url(there)
    _require_possible(old, new)
    _require_ours(old, new, now)
    return tuple(_ordered(new, dict(now)))


def _ordered(new: Rows, now: dict[str, SiteFile]) -> Iterator[Change]:
    """Yield the writes; `now` is kept as the site will be after each."""
    held = {file.os for file in now.values() if file.download_button}
    for url, file in new.items():
        if url not in now:
            now[url] = _button(file, on=file.download_button and file.os not in held)
            yield None, now[url]
    for url, file in new.items():
        fields = _button(file, on=now[url].download_button)
        if fields != now[url]:
            yield now[url], fields
            now[url] = fields
    yield from _buttons(new, now)
    yield from ((file, None) for url, file in now.items() if url not in new)


def _buttons(new: Rows, now: dict[str, SiteFile]) -> Iterator[Change]:
    """Yield the moves of buttons, system by system: one without a button is so for one call.

    A row that goes keeps its button until then, unless another one takes it over.
    """
    for system in sorted({file.os for file in new.values()}):
        rows = [url for url, file in now.items() if file.os == system]
        on = [url for url in rows if url in new and new[url].download_button]
        for want, urls in (
            (False, [x for x in rows if x not in on and (on or x in new)]),
            (True, on),
        ):
            for url in urls:
                if now[url].download_button != want:
                    yield now[url], _button(now[url], on=want)
                    now[url] = _button(now[url], on=want)


def _require_possible(old: Rows, new: Rows) -> None:
    """Refuse rows which the site cannot have together, before anything is written."""
    slugs = [file.slug for file in new.values()]
    buttons = [file.os for file in new.values() if file.download_button]
    for what, values in (("slug", slugs), ("system with a button", buttons)):
        if twice := sorted({one for one in values if values.count(one) > 1}):
            raise refusal(f"two rows of the release have the {what} {twice[0]}", "BAD_ROW")
    for url in old.keys() & new.keys():
        for field in ("os", "release"):
            found, asked = getattr(old[url], field), getattr(new[url], field)
            if found != asked:
                raise refusal(f"{field} of {old[url].slug} is {found}, not {asked}", "SITE_FIXED")


def _require_ours(old: Rows, new: Rows, now: Rows) -> None:
    """Refuse to write into rows that are neither as they were, nor as they become."""
    for url, file in now.items():
        known = list(_states(old.get(url), new.get(url)))
        if not known:
            raise diverged(f"the site has the row {file.slug} of {url}, which nobody asked for")
        if file not in known:
            raise diverged(differences(new.get(url) or old[url], file))
        taker = next((x for x in new.values() if x.slug == file.slug and x.url != url), None)
        if taker is not None:
            raise conflict(f"{file.slug} of {taker.url} is on the site the row of {url}")
    for url in (old.keys() & new.keys()) - now.keys():
        raise diverged(f"the site has no row {old[url].slug} any more; it was there")


def _states(old: SiteFile | None, new: SiteFile | None) -> Iterator[SiteFile]:
    """Yield what a row can be, wherever the change was stopped."""
    if old is not None:
        yield old
        yield _button(old, on=False) if new is None else old
    if new is not None:
        yield new
        yield _button(new, on=old is not None and old.download_button)


def _button(file: SiteFile, *, on: bool) -> SiteFile:
    return file.model_copy(update={"download_button": on})


def _by_url(files: Iterable[SiteFile]) -> dict[str, SiteFile]:
    found: dict[str, SiteFile] = {}
    for file in files:
        if file.url in found:
            raise refusal(f"{file.slug} and {found[file.url].slug} have one address", "BAD_ROW")
        found[file.url] = file
    return found
