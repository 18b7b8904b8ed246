"""Drafts on this machine, release data and posts as commits, and a look at what was posted.

A draft is a file in a folder. That for the blog is a commit to the blog's repository, too, where
its readers do not see it: it says of itself that it is not published. Who posts it adds the words
that belong there and says that it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path

from relkit.adapters import release_data as data
from relkit.adapters.drafts import Drafts, require_text
from relkit.adapters.git_command import Identity
from relkit.adapters.git_file import Branch, Tree
from relkit.adapters.posts import Posts
from relkit.adapters.release_peps import pep_path, with_releases
from relkit.adapters.value_files import safe_name
from relkit.errors import UsageError, WorldError

BLOG = "blog"


class ReleaseFile:
    """The release data on a branch; each change is a commit, in which no clock has a part.

    With `grows` a series that is not there is added; the real data cannot be added to without a
    PEP. Raises `WorldError`: ``RELEASE_DATA``, ``SERIES_UNKNOWN``, and what `Branch` raises.
    """

    def __init__(self, branch: Branch, who: Identity, *, grows: bool = False) -> None:
        self._branch = branch
        self._who = who
        self._grows = grows

    def status(self, series: str) -> str | None:
        """Return the status of a series; None: the data does not have it."""
        data.checked_series(series)
        return data.statuses(self._read()).get(series)

    def set_status(self, series: str, status: str) -> None:
        """Commit the status of a series; nothing if the data says so already."""
        data.checked_series(series)
        data.checked_status(status)
        message = f"Python {series} is {status}"
        self._commit(series, message, None, lambda text: data.with_status(text, series, status))

    def day_of(self, series: str, version: str) -> str | None:
        """Return the day (ISO) a version was released on; None if it was not."""
        stage = data.checked_version(series, version)
        day = data.released(self._read(), series, stage)
        return day.isoformat() if day else None

    def record(self, series: str, version: str, day: date) -> None:
        """Commit that a version was released; nothing if the data says so already."""
        stage = data.checked_version(series, version)
        self._commit(
            series,
            f"Python {version} is released",
            datetime.combine(day, time(12), UTC),
            lambda text: data.with_release(text, series, stage, day),
        )

    def _read(self) -> str:
        return _there(self._branch.read(data.PATH))

    def _commit(
        self, series: str, message: str, when: datetime | None, edit: Callable[[str], str]
    ) -> None:
        def edited(tree: Tree) -> dict[str, bytes]:
            before = _text(tree, data.PATH)
            if not self._grows and series not in data.statuses(before):
                raise WorldError(
                    f"{data.PATH} does not have the series {series}",
                    code="SERIES_UNKNOWN",
                    remedy="Add the series there together with its release PEP; then run this "
                    "again.",
                )
            after = edit(before)
            if after == before:
                return {}
            files = {data.PATH: after.encode()}
            if (path := pep_path(after, series)) and tree.get(path) is not None:
                files[path] = with_releases(_text(tree, path), after, series).encode()
            return files

        self._branch.commit(edited, message, self._who, when)


class DraftsAndData:
    """What the forms of the port `Announcements` share: drafts in a folder, and release data."""

    def __init__(self, folder: Path, release_data: ReleaseFile) -> None:
        self._drafts = Drafts(folder)
        self._data = release_data

    def draft(self, *, channel: str, text: str) -> None:
        """Write a draft; one that was there with other words is kept under another name."""
        self._drafts.put(channel, text)

    def drafted(self, *, channel: str) -> str | None:
        """Return the draft for a channel."""
        return self._drafts.get(channel)

    def record_release(self, *, series: str, version: str, day: str) -> None:
        """Commit a release date to the release data, and to the release PEP."""
        self._data.record(series, version, iso_day(day))

    def recorded_release(self, *, series: str, version: str) -> str | None:
        """Return the date (ISO) recorded for a version, once it counts as released."""
        return self._data.day_of(series, version)

    def set_status(self, *, series: str, status: str) -> None:
        """Commit the status of a series to the release data."""
        self._data.set_status(series, status)

    def status(self, *, series: str) -> str | None:
        """Return the status of a series there; None: the data does not have the series."""
        return self._data.status(series)


class GitAnnouncements(DraftsAndData):
    """The form of the port `Announcements` on git repositories and public addresses.

    `folder` is that of this release's drafts. `peps` is the branch with the release data. `blog`
    is the one the post `post_name` is committed to (``python-3150a1``); None: it is only drafted.
    `manager` makes the commits. `posts` looks at posts.
    """

    def __init__(
        self,
        *,
        folder: Path,
        peps: Branch,
        manager: Identity,
        posts: Posts,
        blog: Branch | None = None,
        post_name: str = "",
    ) -> None:
        super().__init__(folder, ReleaseFile(peps, manager))
        self._manager = manager
        self._posts = posts
        self._blog = blog
        self._post = f"content/posts/{safe_name(post_name)}/index.md" if blog else ""

    def draft(self, *, channel: str, text: str) -> None:
        """Write a draft; one that was there with other words is kept under another name.

        A post that somebody else has changed in the blog's repository is left as it is: raises
        `WorldError` (``DRAFT_CHANGED``).
        """
        before = self._drafts.get(channel)
        if channel == BLOG and self._blog is not None:
            self._commit_post(self._blog, before, text)
        super().draft(channel=channel, text=text)

    def _commit_post(self, blog: Branch, before: str | None, text: str) -> None:
        require_text(text)

        def edited(tree: Tree) -> dict[str, bytes]:
            there = tree.get(self._post)
            if there not in {None, text.encode(), before.encode() if before else None}:
                raise WorldError(
                    f"{self._post} in the blog's repository was changed: it is neither the draft "
                    f"from before ({_digest(before)}) nor the new one ({_digest(text)}), but "
                    f"{_digest(there)}",
                    code="DRAFT_CHANGED",
                    remedy="Somebody has worked on it: put into it by hand what is new. "
                    "Move it away there to have it drafted anew.",
                )
            return {self._post: text.encode()}

        name = self._post.split("/")[2]
        blog.commit(edited, f"Draft the post {name}", self._manager)

    def drafted(self, *, channel: str) -> str | None:
        """Return the draft for a channel; that for the blog as it is in the blog's repository."""
        if channel == BLOG and self._blog is not None:
            return self._blog.read(self._post)
        return super().drafted(channel=channel)

    def post(self, *, url: str) -> str | None:
        """Return the text of a public post; None: no such post."""
        return self._posts.text(url)


def iso_day(day: str) -> date:
    """Return a day given as ``2026-05-05``, or refuse it (``BAD_DATE``)."""
    try:
        found = date.fromisoformat(day)
    except ValueError as error:
        raise _no_day(day) from error
    if found.isoformat() != day:
        raise _no_day(day)
    return found


def _no_day(day: str) -> UsageError:
    return UsageError(f"{day[:40]!a} is no day", code="BAD_DATE", remedy="Give it as 2026-05-05.")


def _digest(text: str | bytes | None) -> str:
    if text is None:
        return "nothing"
    found = hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()
    return f"SHA-256 {found[:12]}…"


def _text(tree: Tree, path: str) -> str:
    found = tree.get(path)
    try:
        return _there(None if found is None else found.decode())
    except UnicodeDecodeError as error:
        raise data.unfit(f"{path} is not UTF-8: {error.reason}") from error


def _there(text: str | None) -> str:
    if text is None:
        raise WorldError(
            f"the PEPs repository has no {data.PATH}",
            code="RELEASE_DATA",
            remedy="Look at the repository and the branch that the world's file names.",
        )
    return text
