"""Commits to the files of one branch of a repository elsewhere, each on top of what is there.

A change is a function of what the branch holds, so that it can be made anew when the branch has
moved meanwhile, and makes nothing where it is made already: whoever runs again after a kill, a
cut line or an answer that was lost finds either. Nothing is ever forced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from relkit.adapters.git_branches import Elsewhere, Here
from relkit.adapters.git_command import Answer, GitCommand, Identity
from relkit.adapters.git_names import check_path
from relkit.adapters.git_tree import MAX_BYTES, Tree
from relkit.adapters.value_files import locked
from relkit.errors import WorldError
from relkit.values import ObjectId

__all__ = ["Branch", "Elsewhere", "Here", "Place", "Tree"]


class Place(Protocol):
    """Where a branch is, and a repository of this machine that has its commits."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def repository(self) -> Path:
        """Return the bare repository with the commits, made if need be."""

    def head(self) -> ObjectId | None:
        """Return the last commit of the branch, which is in the repository then."""

    def move(self, old: ObjectId | None, new: ObjectId) -> Answer | None:
        """Move the branch from one commit to another; None if it did, else what was said."""


@dataclass(frozen=True)
class Branch:
    """The files of a branch, as they are and as they are changed.

    Names that lie in it are data: nothing of it is ever put into a folder of this machine under
    its own path.
    """

    place: Place

    def read(self, path: str) -> str | None:
        """Return a file as text in UTF-8; None if there is none, nor the branch."""
        with self._held() as git:
            head = self.place.head()
            data = Tree(git, head).get(path) if head else None
        return None if data is None else self._text(path, data)

    def files(
        self, folder: str, pick: Callable[[list[str]], list[str]], longest: int = MAX_BYTES
    ) -> dict[str, bytes]:
        """Return those files right below a folder which `pick` takes, as `Tree.below` does."""
        with self._held() as git:
            head = self.place.head()
            return Tree(git, head).below(folder, pick, longest) if head else {}

    def commit(
        self,
        edit: Callable[[Tree], Mapping[str, bytes]],
        message: str,
        who: Identity,
        when: datetime | None = None,
    ) -> None:
        """Commit the files which `edit` gives for what is there; none if all are so already.

        If the branch moves meanwhile this is done once more. `when` is the time of the commit,
        without it that of the commit before. Raises `WorldError`: ``PUSH_REFUSED`` with the
        server's words, ``REMOTE_MOVED``, ``REMOTE_UNREACHABLE``, and what `edit` raises.
        """
        with self._held() as git:
            head = now = self.place.head()
            for _ in range(2):
                head = now
                tree = Tree(git, head)
                new = {
                    check_path(path): data
                    for path, data in edit(tree).items()
                    if tree.get(path) != data
                }
                if not new:
                    return
                made = tree.with_files(new, message, who, when)
                refused = self._moved(head, made)
                if refused is None or (now := self.place.head()) == made:
                    return
                if now == head:
                    raise self._refused(refused)
        raise WorldError(
            f"{self.place.name} was {head or 'empty'} and is now {now or 'empty'}: it moves on "
            "while it is written to",
            code="REMOTE_MOVED",
            remedy="Nothing was written. Run this again when nobody else is at work there.",
        )

    def _moved(self, old: ObjectId | None, new: ObjectId) -> Answer | WorldError | None:
        """Move the branch; a push that took too long may have been carried out nevertheless."""
        try:
            return self.place.move(old, new)
        except WorldError as error:
            if error.code != "GIT_TIMEOUT":
                raise
            return error

    def _refused(self, said: Answer | WorldError) -> WorldError:
        if isinstance(said, WorldError):
            return said
        return WorldError(
            f"{self.place.name} refused the push: {said.told}",
            code="PUSH_REFUSED",
            remedy="Nothing was written. Have the cause removed (rights, protection, a full disk), "
            "or name a branch in the world's file that you may push to; then run this again.",
        )

    def _text(self, path: str, data: bytes) -> str:
        try:
            return _bounded(data).decode()
        except ValueError as error:
            raise WorldError(
                f"{path} of {self.place.name} cannot be read: {error}",
                code="FILE_UNREADABLE",
                remedy="Look at it there, and mend it.",
            ) from error

    @contextmanager
    def _held(self) -> Iterator[GitCommand]:
        """Yield git on the repository of this machine, which nobody else uses meanwhile."""
        repository = self.place.repository()
        with locked(repository):
            yield GitCommand(repository, repository)


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return data
