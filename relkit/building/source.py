"""The source archives of a commit, streamed from git's objects into both files.

``Misc/NEWS`` is the only file that is made: by `blurb merge`, in a folder which holds the NEWS
entries and what blurb wants to see around them. Everything else is a file of the commit.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from relkit.building.archive import NEWS, NEWS_SOURCES, Form, Member, is_removed, payload, tar_key
from relkit.building.compress import Packed, check_compressors, pack
from relkit.building.objects import Objects
from relkit.errors import CheckError, WorldError

BLURB_MARKS = ("README.rst", "LICENSE", "Include/Python.h", "Python/ceval.c")
"""The files by which blurb knows that it stands in CPython's tree."""
BLURB_FOLDER = re.compile(r"blurb-[0-9]+(\.[0-9]+){1,3}")
BLURB_TIMEOUT_SECONDS = 300.0
RUN_BLURB = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1));"
    "runpy.run_module('blurb', run_name='__main__', alter_sys=True)"
)


def blurb_command(folder: Path) -> tuple[str, ...]:
    """Return the command line for the blurb installed in a folder, ``blurb-<version>``.

    Which one a tree needs is an input of the release: other versions give other text, or stop.
    """
    if not BLURB_FOLDER.fullmatch(folder.name) or not folder.is_dir():
        version = folder.name.removeprefix("blurb-")
        raise CheckError(
            f"{folder.name} is asked for, and not installed",
            code="BLURB_MISSING",
            remedy=f"Install it: pip install --no-deps --target {folder} blurb=={version}",
        )
    return (sys.executable, "-c", RUN_BLURB, str(folder))


def merged_news(objects: Objects, commit: str, *, blurb: Sequence[str], folder: Path) -> bytes:
    """Return ``Misc/NEWS`` as `blurb merge` makes it of the commit's entries.

    `folder` is empty, and is left with blurb's working files.
    """
    with objects.files(commit, NEWS_SOURCES, *BLURB_MARKS) as members:
        for member in members:
            path = folder / member.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(member.data)
    done = subprocess.run(
        [*blurb, "merge"],
        cwd=folder,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TZ": "UTC",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=BLURB_TIMEOUT_SECONDS,
        check=False,
    )
    news = folder / NEWS
    if done.returncode or not news.is_file():
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise WorldError(
            f"blurb merge ended with status {done.returncode}: {said[-500:]}",
            code="BLURB_FAILED",
            remedy="Give the version of blurb which this tree needs, or mend the entry it names.",
        )
    return news.read_bytes()


def archived_paths(paths: Iterable[str]) -> list[str]:
    """Return what an archive of these paths holds, in its order, with the generated NEWS."""
    listed = set(paths)
    kept = {path for path in listed if not is_removed(path)}
    if any(path.startswith(f"{NEWS_SOURCES}/") for path in listed):
        if NEWS in kept:
            raise CheckError(
                f"the commit has {NEWS}, and {NEWS_SOURCES} to make it from",
                code="NEWS_DOUBLED",
                remedy=f"Remove {NEWS} from the branch; it is made when the archives are.",
            )
        kept.add(NEWS)
    return sorted(kept, key=tar_key)


def in_order(
    members: Iterable[Member], order: Sequence[str], made: Mapping[str, Callable[[], bytes]]
) -> Iterator[Member]:
    """Bring members from git's order into the tar's, holding back as few as possible.

    `made` are files which do not come with the members; each is asked for at its turn. Members
    which are not in `order` are dropped, and a missing one is refused.
    """
    held: dict[str, Member] = {}
    wanted = set(order)
    source = iter(members)
    for path in order:
        if path in made:
            yield Member(path, made[path]())
            continue
        while path not in held:
            member = next(source, None)
            if member is None:
                raise WorldError(
                    f"git archive left out {path!r}",
                    code="TREE_MISMATCH",
                    remedy="An export-ignore attribute? A release archive holds the whole tree.",
                )
            if member.path in wanted:
                held[member.path] = member
        yield held.pop(path)


def write_source(
    objects: Objects, commit: str, *, form: Form, blurb: Sequence[str], work: Path, out: Path
) -> tuple[Packed, Packed, Packed]:
    """Write ``<top>.tgz`` and ``<top>.tar.xz`` of a commit into `out`; return them and the tar.

    `work` is empty. blurb runs while the first members are packed.
    """
    check_compressors()
    order = archived_paths(entry.path for entry in objects.entries(commit))
    with ThreadPoolExecutor(max_workers=1) as pool, objects.files(commit) as members:
        made: dict[str, Callable[[], bytes]] = {}
        if NEWS in order:
            merged = pool.submit(merged_news, objects, commit, blurb=blurb, folder=work)
            made[NEWS] = merged.result
        pieces = payload(in_order(members, order, made), form)
        return pack(pieces, tgz=out / f"{form.top}.tgz", xz=out / f"{form.top}.tar.xz")
