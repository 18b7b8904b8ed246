"""What a docs server does in the same way wherever it is: as folders here, or by SSH.

Below ``release/`` lies a folder for each version, whole and never changed, and in
``.relkit/<version>.json`` what was noted of it before it appeared: the archive's digest, how many
files there are, and one digest of all their paths, modes and bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from relkit.errors import CheckError, ReleaseError, UsageError, WorldError
from relkit.release import Version
from relkit.values import Unpacked, canonical

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_+-]|\.(?!\.)){0,100}", flags=re.ASCII)
FILE_MODE, FOLDER_MODE = 0o644, 0o755
NOTES, UNPACKING = ".relkit", ".unpacking-"
NOTE_BYTES = 4096
Note = dict[str, object]
Content = Mapping[tuple[str, ...], tuple[int, str]]
"""Mode and digest (of a folder: none) by the parts of path."""


class SharedDocs(ABC):
    """`relkit.ports.Docs`, over what each form does by itself."""

    def unpack(self, *, version: str, name: str, sha256: str) -> None:
        """Unpack a collected archive of HTML docs, without the folder at its top.

        Raises `CheckError`: ``ARTIFACT_MISSING``, ``DIGEST_CHANGED``, ``DOCS_EXIST``,
        ``DOCS_CHANGED``, ``ARCHIVE_UNSAFE``, ``ARCHIVE_BROKEN``; `WorldError`: ``REMOTE_FULL``,
        ``REMOTE_OWNER``, ``REMOTE_FAILED``.
        """
        Version.parse(version)
        with self._failing(f"unpack {checked(name)}"):
            if self._is_there(version) or not self._try(version, name, sha256):
                self._check_same(version, sha256)
            self._sweep(version)

    def _try(self, version: str, name: str, sha256: str) -> bool:
        """Unpack in a folder of this call's own; False where another one was quicker.

        That one sweeps, also what is unpacked here: its files may be gone while they are compared.
        """
        new = unpacking(version, secrets.token_hex(6))
        try:
            return self._unpack(new, version, name, sha256)
        except (ReleaseError, OSError):
            if not self._is_there(version):
                raise
            return False
        finally:
            self._remove(new)

    def unpacked(self, *, version: str) -> Unpacked | None:
        """Return what lies there, compared file by file with what was unpacked.

        Raises `CheckError`: ``DOCS_CHANGED``; ``DOCS_EXIST`` for docs which relkit did not unpack.
        """
        Version.parse(version)
        with self._failing(f"read the docs of {version}"):
            if not self._is_there(version):
                return None
            return compared(version, noted(version, self._note(version)), *self._listed(version))

    def point(self, *, link: str, target: str, was: str | None) -> None:
        """Let a link lead to a version beside it, in one step, if it leads where it `was`.

        Raises `WorldError`: ``LINK_MOVED``, ``NOT_A_LINK``, ``NOT_THERE``.
        """
        with self._failing(f"point {checked(link)} to {checked(target)}"):
            now = self.pointed(link=link)
            if now == target:
                return
            if now != was:
                raise moved(link, now, was, target)
            if not self._has_docs(target):
                raise no_docs(target)
            self._switch(link, target)

    def pointed(self, *, link: str) -> str | None:
        """Return the version a link leads to; None: no link. Raises ``NOT_A_LINK``."""
        with self._failing(f"read the link {checked(link)}"):
            leads = self._leads(link)
        return None if leads is None else leading(link, leads)

    def _check_same(self, version: str, sha256: str) -> None:
        there = self.unpacked(version=version)
        if there is None or there.sha256 != sha256:
            raise exist(version, f"of an archive {there and there.sha256}, not {sha256}")

    # --- what each form does by itself ------------------------------------------------------------

    def _failing(self, action: str) -> AbstractContextManager[object]:  # noqa: ARG002 (said by some)
        return nullcontext()

    @abstractmethod
    def _is_there(self, version: str) -> bool:
        """Tell whether there is anything in the place of a version."""

    @abstractmethod
    def _unpack(self, new: str, version: str, name: str, sha256: str) -> bool:
        """Unpack into a new folder, note what it is, and give the tree its name, if that is free.

        Return whether it was.
        """

    @abstractmethod
    def _remove(self, new: str) -> None:
        """Remove a folder in which something was unpacked, if it is there."""

    @abstractmethod
    def _sweep(self, version: str) -> None:
        """Remove such folders as calls that were killed have left."""

    @abstractmethod
    def _note(self, version: str) -> bytes | None:
        """Read what was noted."""

    @abstractmethod
    def _listed(self, version: str) -> tuple[int, str]:
        """Read the tree; return what `content_of` does."""

    @abstractmethod
    def _leads(self, link: str) -> str | None:
        """Return where a link leads; empty: it is no link."""

    @abstractmethod
    def _has_docs(self, target: str) -> bool:
        """Tell whether there is a folder, and no link to one, beside the links."""

    @abstractmethod
    def _switch(self, link: str, target: str) -> None:
        """Make the link, or put it in the place of the one that is there, in one step."""


def unpacking(version: str, nonce: str) -> str:
    """Return the name of a folder in which one call unpacks docs."""
    return f"{UNPACKING}{version}-{nonce}"


def is_unpacking(name: str, version: str) -> bool:
    """Tell whether a folder is one in which docs of a version were unpacked."""
    return re.fullmatch(re.escape(unpacking(version, "")) + "[0-9a-f]{12}", name) is not None


def new_link(link: str, target: str) -> str:
    """Return the name under which a link is made before it takes its place."""
    return f".{link}.{target}.new"


def note(sha256: str, files: int, content: str) -> bytes:
    """Return what is noted of docs."""
    return canonical({"sha256": sha256, "files": files, "content": content}) + b"\n"


def noted(version: str, text: bytes | None) -> Note:
    """Read a note; docs without one, or with another's, are none of relkit's (``DOCS_EXIST``)."""
    try:
        found = json.loads(text or b"")
        sha256, files, content = (found[name] for name in ("sha256", "files", "content"))
    except (ValueError, TypeError, LookupError) as error:
        raise exist(version, "which relkit did not unpack") from error
    return {"sha256": sha256, "files": files, "content": content}


def content_of(found: Content) -> tuple[int, str]:
    """Return how many files there are, and one digest of all: mode and digest by parts of path."""
    total, files = hashlib.sha256(), 0
    for parts, (mode, digest) in sorted(found.items()):
        line = ["/".join(parts), f"{mode:o}"]
        if stat.S_ISREG(mode):
            files += 1
            line.append(digest)
        total.update(canonical(line) + b"\n")
    return files, total.hexdigest()


def compared(version: str, noted: Note, files: int, content: str) -> Unpacked:
    """Return what lies there, if it is what was noted when it was unpacked (``DOCS_CHANGED``)."""
    if (files, content) != (noted["files"], noted["content"]):
        raise CheckError(
            f"the docs of {version} are {files} files with the digest {content}, "
            f"not {noted['files']} with {noted['content']}",
            code="DOCS_CHANGED",
            remedy="Find out who changed the docs on the server, and have them put right.",
        )
    return Unpacked(sha256=str(noted["sha256"]), files=files)


def leading(link: str, leads: str) -> str:
    """Return the version a link leads to; empty: it is no link. Raises ``NOT_A_LINK``."""
    if not NAME.fullmatch(leads):
        raise WorldError(
            f"{link} is {f'a link to {leads!r}' if leads else 'no link'}, "
            "not a link to a version beside it",
            code="NOT_A_LINK",
            remedy="Find out who made it, and move it away.",
        )
    return leads


def moved(link: str, now: str | None, was: str | None, target: str) -> WorldError:
    """Return the refusal to undo what somebody else has done with a link."""
    return WorldError(
        f"{link} leads to {now or 'nothing'}, not to {was or 'nothing'} as when it was to lead to "
        f"{target} from then on; it was not changed",
        code="LINK_MOVED",
        remedy="Another release has moved it. If it is right as it is, leave it; else have this "
        "step planned anew.",
    )


def no_docs(target: str) -> WorldError:
    """Return the refusal to lead to docs that are not there."""
    return WorldError(
        f"there are no docs of {target} to lead to",
        code="NOT_THERE",
        remedy="Run the step that places them first.",
    )


def checked(name: str) -> str:
    """Return the name of a file or link of the docs, or refuse it (``BAD_NAME``)."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:60]!r} cannot be the name of a file or link of the docs",
            code="BAD_NAME",
            remedy="Use letters, digits and . _ + - only, beginning with a letter or digit.",
        )
    return name


def exist(version: str, what: str) -> CheckError:
    """Return the refusal to replace docs that are there."""
    return CheckError(
        f"there are docs of {version} on the server, {what}",
        code="DOCS_EXIST",
        remedy="They are as they were. Find out where they come from; published docs are never "
        "replaced.",
    )
