"""Tracker, buildbots, announcements and people of a rehearsal: local state behind the ports.

Whatever is said twice is done once, and any process that opens the same folder goes on with it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from relkit.adapters.announcements import DraftsAndData
from relkit.adapters.disk import sync_folder
from relkit.adapters.value_files import (
    StateFile,
    locked,
    read_value,
    safe_name,
    write_value,
    write_whole,
)
from relkit.errors import WorldError
from relkit.rehearsal.people import RehearsalPeople
from relkit.rehearsal.release_data import ReleaseData
from relkit.rehearsal.state import BuildbotState, PostsState, TrackerState
from relkit.values import AS_THEY_ARE, Buildbot, CommitCheck, Issue, Issues, Protection

__all__ = ["LocalAnnouncements", "LocalBuildbots", "LocalTracker", "RehearsalPeople"]


class LocalTracker:
    """The form of the port `Tracker` on a JSON file and the bare repository `upstream`.

    A branch is locked by a marker, ``relkit-locked/BRANCH`` in that repository: its hook refuses
    pushes as long as it is there, and whoever asks for the protection looks at the same marker.
    """

    def __init__(self, *, file: Path, upstream: Path) -> None:
        self._state = StateFile(file, TrackerState)
        self._markers = upstream / "relkit-locked"

    def blockers(self, *, series: str, label: str) -> Issues:
        """Return the open issues of the series with `label`."""
        state = self._state.read()
        found = (issue for issue in state.issues if {series, label} <= set(issue.labels))
        return Issues(items=tuple(found), complete=state.complete)

    def protection(self, *, branch: str) -> Protection:
        """Return the protection of a branch."""
        rules = self._state.read().rules.get(branch, ())
        return Protection(locked=self._marker(branch).exists(), rules=rules)

    def set_protection(self, *, branch: str, protection: Protection) -> None:
        """Replace the protection of a branch; in between it is never open without its rules."""
        marker = self._marker(branch)
        if protection.locked:
            write_whole(marker, b"")
        if protection.rules != AS_THEY_ARE:
            self._state.change(partial(_with_rules, branch=branch, rules=protection.rules))
        if not protection.locked and marker.exists():
            marker.unlink()
            sync_folder(marker.parent)

    def labels(self, *, number: int) -> tuple[str, ...]:
        """Return the labels of an issue, sorted."""
        return tuple(sorted(_issue(self._state.read(), number).labels))

    def relabel(self, *, number: int, remove: str, add: str) -> None:
        """Replace one label of an issue by another; refuse an issue that has neither.

        Either may be empty: then a label is only added, or only taken off.
        """
        self._state.change(partial(_relabelled, number=number, remove=remove, add=add))

    def labelled(self, *, label: str) -> Issues:
        """Return all open issues with a label."""
        state = self._state.read()
        found = (issue for issue in state.issues if label in issue.labels)
        return Issues(items=tuple(found), complete=state.complete)

    def has_label(self, *, name: str) -> bool:
        """Tell whether the tracker has a label, on whatever issue."""
        return name in _labels(self._state.read())

    def create_label(self, *, name: str) -> None:
        """Make a label; one that is there stays."""
        self._state.change(
            lambda state: state.model_copy(
                update={"labels": tuple(sorted({*_labels(state), name}))}
            )
        )

    def delete_label(self, *, name: str) -> None:
        """Delete a label, which takes it off all issues; none is fine."""
        self._state.change(partial(_without_label, name=name))

    def commit_checks(self, *, commit: str) -> tuple[CommitCheck, ...]:
        """Return the check runs of a commit."""
        state = self._state.read()
        return state.checks.get(commit, state.default_checks)

    def _marker(self, branch: str) -> Path:
        return self._markers / safe_name(branch)


class LocalBuildbots:
    """The form of the port `Buildbots` on a JSON file."""

    def __init__(self, *, file: Path) -> None:
        self._state = StateFile(file, BuildbotState)

    def stable(self, *, branch: str, commit: str) -> tuple[Buildbot, ...]:
        """Return each stable builder of a branch with its last finished build of `commit`."""
        rows = self._state.read().branches.get(branch, ())
        last: dict[str, Buildbot] = {}
        for row in rows:
            none = Buildbot(name=row.name, online=row.online, commit=None, result=None)
            last[row.name] = row if row.commit == commit else last.get(row.name, none)
        return tuple(last.values())


class LocalAnnouncements(DraftsAndData):
    """The form of the port `Announcements`: files in a folder, and a PEPs repository.

    What is public of it is in one file for all releases, `posts` (``posts.json``).
    """

    def __init__(self, *, folder: Path, peps: Path, posts: Path | None = None) -> None:
        super().__init__(folder, ReleaseData(peps))
        self._posts = posts or folder.parent / "posts.json"

    def post(self, *, url: str) -> str | None:
        """Return the text of a public post; None: no such post."""
        return self._public().posts.get(url)

    def publish_post(self, *, url: str, channel: str) -> None:
        """Post the draft of a channel at an address, as a person does; no draft, no post."""
        text = self.drafted(channel=channel)
        if text is None:
            return
        with locked(self._posts):
            posts = {**self._public().posts, url: text}
            write_value(self._posts, PostsState(posts=posts))

    def _public(self) -> PostsState:
        return read_value(self._posts, PostsState) if self._posts.exists() else PostsState()


def _with_rules(state: TrackerState, branch: str, rules: tuple[str, ...]) -> TrackerState:
    return state.model_copy(update={"rules": {**state.rules, branch: rules}})


def _issue(state: TrackerState, number: int) -> Issue:
    for issue in state.issues:
        if issue.number == number:
            return issue
    raise WorldError(
        f"the tracker has no open issue #{number}",
        code="ISSUE_UNKNOWN",
        remedy="Look for it in the tracker; it may have been closed meanwhile.",
    )


def _relabelled(state: TrackerState, number: int, remove: str, add: str) -> TrackerState:
    issue = _issue(state, number)
    if remove and add and not {remove, add} & set(issue.labels):
        raise WorldError(
            f"#{number} has neither the label {remove!r} nor {add!r}: {', '.join(issue.labels)}",
            code="LABEL_MISSING",
            remedy="Somebody relabelled it; decide with them what it should be.",
        )
    labels = tuple(sorted(({*issue.labels} - {remove} | {add}) - {""}))
    changed = issue.model_copy(update={"labels": labels})
    issues = tuple(changed if one is issue else one for one in state.issues)
    return state.model_copy(update={"issues": issues})


def _labels(state: TrackerState) -> set[str]:
    return {*state.labels, *(label for issue in state.issues for label in issue.labels)}


def _without_label(state: TrackerState, name: str) -> TrackerState:
    def without(labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(label for label in labels if label != name)

    issues = (one.model_copy(update={"labels": without(one.labels)}) for one in state.issues)
    update = {"issues": tuple(issues), "labels": without(state.labels)}
    return state.model_copy(update=update)
