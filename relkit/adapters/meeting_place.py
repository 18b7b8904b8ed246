"""The meeting place as an expert reaches it, without a clone of it: look, answer, push.

Git signs in as the expert does elsewhere: by the agent and by OpenSSH's own files, which also know
the hosts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relkit.adapters.evidence import add_testimony, asked_for, require_words, testimonies
from relkit.adapters.git_command import Identity
from relkit.adapters.git_file import Branch, Elsewhere
from relkit.adapters.meeting import MAX_ANSWERS
from relkit.adapters.people import EVIDENCE, REQUESTS
from relkit.adapters.value_files import NAME
from relkit.errors import UsageError
from relkit.values import Testimony

PROTOCOLS = ("ssh", "https", "file")
MOST_NAMED = 20
SHORTEST = 6
"""With so many letters of a request's key it is not taken for another one by chance."""


def place_at(address: str, branch: str, copy: Path) -> Branch:
    """Return the branch at an address. Raises `UsageError` (``BAD_URL``, ``BAD_REF``)."""
    return Branch(Elsewhere("the meeting place", copy, address, branch, PROTOCOLS))


@contextmanager
def fetched(address: str, branch: str, key: str) -> Iterator[tuple[Branch, Path]]:
    """Yield the meeting place and the file of a request in it, by how its key begins.

    The file lies in a folder that is gone afterwards, with all other requests and the answers.
    Raises `UsageError` (``NO_REQUEST``), and those of the network.
    """
    key = key.removesuffix(".json")
    with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
        place = place_at(address, branch, Path(folder) / "copy.git")
        found = place.files(REQUESTS, lambda names: _first(names, key))
        requests = Path(folder) / REQUESTS
        requests.mkdir()
        for name, content in found.items():
            (requests / name).write_bytes(content)
        yield place, requests / _one(list(found), key)


def _first(names: list[str], key: str) -> list[str]:
    """Return what is about a request, and then of the others as many as there is room for."""
    fit = [name for name in names if NAME.fullmatch(name)]
    return sorted(fit, key=lambda name: not name.startswith(key))[: MAX_ANSWERS + 2]


def _one(names: list[str], key: str) -> str:
    asked = [name for name in names if name.count(".") == 1 and name.endswith(".json")]
    fitting = [name for name in asked if name.startswith(key)]
    if len(fitting) != 1 or len(key) < SHORTEST:
        raise UsageError(
            f"{len(fitting)} requests begin with {key[:70]!a}; there are: "
            + (", ".join(name[:12] for name in asked[:MOST_NAMED]) or "none"),
            code="NO_REQUEST",
            remedy=f"Give at least {SHORTEST} letters of the digest that the notebook shows.",
        )
    return fitting[0]


def send(place: Branch, answer: Path, who: str) -> None:
    """Push the file of an answer. Raises `WorldError`."""
    path, data = f"{REQUESTS}/{answer.name}", answer.read_bytes()
    place.commit(lambda _: {path: data}, f"Answer {answer.name[:12]}", _identity(who))


def _identity(who: str) -> Identity:
    return Identity(" ".join(who.split()), "expert@relkit.invalid")


def testify_in_clone(message: Path, who: str, role: str, text: str) -> Path:
    """Put evidence into the clone of the meeting place in which a message lies; return its file.

    Raises `WorldError`: ``NOT_ASKED``, ``EVIDENCE_INVALID``, ``STATE_UNREADABLE``.
    """
    given = Testimony(name=asked_for(message, role), who=who, role=role, text=text.strip())
    require_words(given)
    folder = message.absolute().parent.parent / EVIDENCE
    add_testimony(folder, given)
    return testimonies(folder, given.name)[-1]
