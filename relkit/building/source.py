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
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from relkit.building.archive import (
    BLOCK,
    NEWS,
    NEWS_SOURCES,
    Form,
    Member,
    Removal,
    is_removed,
    payload,
    tar_key,
    to_bytes,
)
from relkit.building.compress import check_compressors, pack
from relkit.building.lane import Packed
from relkit.building.objects import Objects, Tree
from relkit.errors import CheckError, WorldError

TOOLS = Path(sys.prefix) / "share" / "relkit"
"""Where `make env` installs each version of blurb; environments for trees' docs lie there too."""
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


def blurb_version(command: Sequence[str]) -> str:
    """Return the version of the blurb of a command, as it was installed; older ones cannot say."""
    found = distributions(name="blurb", path=[command[-1]])
    return next((one.version for one in found), "unknown")


def merged_news(objects: Objects, commit: str, *, blurb: Sequence[str], folder: Path) -> bytes:
    """Return ``Misc/NEWS`` as `blurb merge` makes it of the commit's entries.

    `folder` is empty, and is left with blurb's working files.
    """
    with objects.files(commit, NEWS_SOURCES, *BLURB_MARKS) as members:
        for member in members:
            path = folder / os.fsdecode(to_bytes(member.path))  # the same bytes in any locale
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


def archived_paths(paths: Iterable[str], listed: Iterable[Removal]) -> list[str]:
    """Return what an archive of these paths holds, in its order, with the generated NEWS.

    `listed` is what the archives of the branch leave out.
    """
    left_out = tuple(listed)
    there = set(paths)
    kept = {path for path in there if not is_removed(path, left_out)}
    if any(path.startswith(f"{NEWS_SOURCES}/") for path in there):
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


@dataclass(frozen=True)
class Stream:
    """A tar on its way: its pieces, about how many bytes they will be, and its ``Misc/NEWS``.

    Without `news` the file is the commit's own, or there is none. Else it waits for blurb.
    """

    pieces: Iterator[bytes]
    about: int
    news: Callable[[], bytes] | None


@contextmanager
def streamed(
    tree: Tree,
    *,
    form: Form,
    blurb: Sequence[str],
    work: Path,
    look: Callable[[Member], None] = lambda _: None,
) -> Iterator[Stream]:
    """Stream the tar of a commit; `look` sees each member as it is written.

    `work` is empty. blurb runs while the first members are written.
    """
    objects, commit = tree.objects, tree.commit
    order = archived_paths((entry.path for entry in objects.entries(commit)), tree.removals)
    sizes = objects.sizes(commit)
    with ThreadPoolExecutor(max_workers=1) as pool, objects.files(commit) as members:
        news = None
        if NEWS in order and NEWS not in sizes:
            merged = pool.submit(merged_news, objects, commit, blurb=blurb, folder=work)
            news = merged.result
        made = {} if news is None else {NEWS: news}
        ordered = in_order(members, order, made)
        about = sum(2 * BLOCK + sizes.get(path, 0) for path in order)
        yield Stream(payload(_looked_at(ordered, look), form), about, news)


def _looked_at(members: Iterable[Member], look: Callable[[Member], None]) -> Iterator[Member]:
    for member in members:
        look(member)
        yield member


def write_source(
    tree: Tree, *, form: Form, blurb: Sequence[str], work: Path, out: Path
) -> tuple[Packed, Packed, Packed]:
    """Write ``<top>.tgz`` and ``<top>.tar.xz`` of a commit into `out`; return them and the tar.

    `work` is empty. This makes the archives and nothing more; see `relkit.building.export`.
    """
    check_compressors()
    with streamed(tree, form=form, blurb=blurb, work=work) as stream:
        return pack(stream.pieces, tgz=out / f"{form.top}.tgz", xz=out / f"{form.top}.tar.xz")
