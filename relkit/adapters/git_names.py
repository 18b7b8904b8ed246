"""What may stand in a git command: names of refs, object ids, paths, addresses of remotes.

The grammars are narrower than git's own, cut down to what CPython uses, so that nothing that
comes from outside can be read as an option, a program or another place (T09, T10).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from relkit.errors import UsageError

WHO = re.compile(r":/+.*@", flags=re.DOTALL)
"""The user and the password of an address, which are not repeated."""
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_+-]|\.(?!\.)){0,99}", flags=re.ASCII)
REF = re.compile(r"refs/(?:heads|tags)/(?P<name>.*)", flags=re.ASCII | re.DOTALL)
OBJECT_ID = re.compile(r"[0-9a-f]{40}", flags=re.ASCII)
HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
ADDRESS_PATH = r"/[A-Za-z0-9._~/+-]+"
ADDRESSES = {
    "https": re.compile(rf"https://{HOST}(?::[0-9]+)?{ADDRESS_PATH}", flags=re.ASCII),
    "ssh": re.compile(
        rf"ssh://(?:[a-z][a-z0-9_-]*@)?{HOST}(?::[0-9]+)?{ADDRESS_PATH}"
        rf"|[a-z][a-z0-9_-]*@{HOST}:[A-Za-z0-9][A-Za-z0-9._~/+-]*",
        flags=re.ASCII,
    ),
    "file": re.compile(r"/[^\x00-\x1f\x7f-\x9f\u2028\u2029]+"),
}
"""What the address of a remote may look like for each protocol; for `file`, an absolute path."""


def check_name(name: str) -> str:
    """Return the short name of a branch or tag as it is, or refuse it (``BAD_REF``)."""
    if not NAME.fullmatch(name) or name.endswith((".", ".lock")):
        raise _bad("BAD_REF", name, "not a name of a branch or tag")
    return name


def check_ref(ref: str) -> str:
    """Return a full ref below ``refs/heads/`` or ``refs/tags/``, or refuse it (``BAD_REF``)."""
    found = REF.fullmatch(ref)
    if found is None:
        raise _bad("BAD_REF", ref, "not a full ref")
    check_name(found["name"])
    return ref


def check_id(object_id: str) -> str:
    """Return an object id of 40 hexadecimal digits, or refuse it (``BAD_REF``)."""
    if not OBJECT_ID.fullmatch(object_id):
        raise _bad("BAD_REF", object_id, "not an object id of 40 hexadecimal digits")
    return object_id


def check_path(path: str) -> str:
    """Return a path relative to the top of the tree, or refuse it (``BAD_PATH``)."""
    parts = PurePosixPath(path).parts
    if not parts or "\x00" in path or str(PurePosixPath(*parts)) != path or ".." in parts:
        raise _bad("BAD_PATH", path, "not a path in the tree")
    if path.startswith("/"):
        raise _bad("BAD_PATH", path, "not relative to the top of the tree")
    return path


def check_url(url: str, *, protocols: Sequence[str]) -> str:
    """Return the address of a remote, or refuse it (``BAD_URL``).

    An https address must not carry a user or password: those would stand in the record.
    """
    if not any(ADDRESSES[one].fullmatch(url) for one in protocols if one in ADDRESSES):
        shown = _shown(nameless(url))
        raise UsageError(
            f"{shown} is not the address of a remote by {' or '.join(protocols)}",
            code="BAD_URL",
            remedy="Correct it where it was given, in the world's file or in the command: "
            "ssh://, https:// or, as a file, an absolute path.",
        )
    return url


def nameless(address: str) -> str:
    """Return an address, or what was made of one, without its user and password."""
    return WHO.sub("://…@", address)


def _bad(code: str, value: str, what: str) -> UsageError:
    return UsageError(
        f"{_shown(value)} is {what}",
        code=code,
        remedy="Look at where it comes from; nothing was done with it.",
    )


def _shown(value: str) -> str:
    return repr(value if len(value) <= 80 else f"{value[:80]}…")  # noqa: PLR2004 (one line)
