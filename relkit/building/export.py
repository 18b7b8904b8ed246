"""Export: everything that is made of a source release, in the time of the one slow compression.

From the objects of a commit come both archives, the SBOM of each, and the comparison of what lies
on the disk with the commit. Only xz cannot be hurried: the archive files are hashed while they
stream into both compressors, and while xz works the ``.tgz`` is read back and compared, and its
SBOM made. At the end the ``.tar.xz`` is read back, beside the making of its SBOM.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from relkit.building.archive import Form, Member, source_names, top_folder
from relkit.building.compare import TreeReport, check_same_payload, compare
from relkit.building.compress import Packing, check_compressors, packing
from relkit.building.contents import TREE_SBOM, Contents
from relkit.building.job import Fact
from relkit.building.lane import Packed
from relkit.building.objects import Objects, Tree
from relkit.building.origins import Origins
from relkit.building.placing import Place, placing
from relkit.building.sbom import Sbom, sbom_name, source_sbom
from relkit.building.source import Stream, streamed
from relkit.building.tool_versions import tool_versions
from relkit.errors import WorldError
from relkit.expected import FIRST_WITH_SBOM
from relkit.release import Version

Ask = Callable[[Contents], Origins]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exported:
    """What was made: `files` in order of name, and the tar that both archives hold.

    `lacks` is what the SBOMs could not say, `facts` are the tools and settings the bytes depend
    on. `kept` names the files which were there already, with the same bytes.
    """

    files: tuple[Packed, ...]
    payload: Packed
    report: TreeReport
    lacks: tuple[str, ...]
    facts: Mapping[str, Fact]
    kept: tuple[str, ...] = ()

    @property
    def compared(self) -> dict[str, Fact]:
        """What the comparison with the commit counted, as facts."""
        report = self.report
        return {
            "compared": report.files,
            "equal": report.equal,
            "by_eol": report.by_eol,
            "generated": report.generated,
            "removed": report.removed,
            "unexplained": len(report.unexplained),
            "tree_sha256": report.tree_sha256,
        }


def nothing_beside(_: Exported) -> Mapping[str, str]:
    """Return no texts: nothing is placed beside archives and SBOMs."""
    return {}


def export(  # noqa: PLR0913 (each is an input on which bytes depend, or a place)
    objects: Objects,
    commit: str,
    *,
    version: Version,
    tar: str,
    blurb: Sequence[str],
    work: Path,
    out: Path,
    origins: Ask,
    progress: Progress = lambda _done, _all: None,
    beside: Callable[[Exported], Mapping[str, str]] = nothing_beside,
) -> Exported:
    """Make the archives of a commit and their SBOMs, compare them with it, and put them in `out`.

    `tar` is the form of GNU tar, `work` an empty folder for blurb. `origins` is asked once, when
    all files are known. `progress` hears, in other threads, bytes done and about how many there
    will be. `beside` returns texts by name, to be placed after the files they are about.

    ``Misc/NEWS`` is merged once, and the archive compared with that text: the comparison shows
    here that nothing happened to it on its way. That blurb makes it again, in other surroundings,
    is shown by the build ``compare`` and by ``relkit verify source``.

    A result appears in `out` whole or not at all; one with the same bytes is left alone. Raises
    `CheckError` (``WOULD_OVERWRITE``, ``EXPORT_RUNNING``, ``TREE_MISMATCH``, ``ARCHIVES_DIFFER``,
    ``TOOL_DRIFT``, …) and `WorldError` (``EXPORT_FAILED`` for a full disk, …).
    """
    form = Form(top_folder(version), objects.commit_time(commit), tar)
    try:
        with placing(out, form.top) as place:
            making = _Making(Tree.of(objects, commit, version), version, form, place)
            made = making.made(blurb, work, origins, progress)
            texts = beside(made)
            for name, text in texts.items():
                place.write(name, text)
            return replace(made, kept=place.finish([*(file.name for file in made.files), *texts]))
    except (OSError, subprocess.SubprocessError) as error:
        raise WorldError(
            f"the export cannot go on: {error}",
            code="EXPORT_FAILED",
            remedy="See whether the disk is full and all tools are there, then run this again.",
        ) from error


@dataclass(frozen=True)
class _Making:
    """One export, on its way in a hidden folder."""

    tree: Tree
    version: Version
    form: Form
    place: Place

    def made(self, blurb: Sequence[str], work: Path, origins: Ask, progress: Progress) -> Exported:
        """Make all of it; what is written here in order happens while xz works."""
        check_compressors()
        tgz, xz = (self.place.folder / name for name in source_names(self.version))
        contents, heard = Contents(), _Heard(progress)
        with (
            ThreadPoolExecutor(max_workers=1) as pool,
            packing(tgz=tgz, xz=xz, progress=heard) as both,
        ):
            stream = self._stream(contents, blurb, work)
            payload, news = _fed(stream, both, heard)
            asked = pool.submit(origins, contents) if self._with_sbom(contents) else None
            packed_tgz = both.tgz.result()
            report = compare(self.tree, tgz, top=self.form.top, news=news)
            report.verify()
            facts = tool_versions(() if news is None else blurb)
            known = None if asked is None else asked.result()
            sboms = self._sbom(packed_tgz, contents, known)
            packed_xz = both.xz.result()
            checked = pool.submit(check_same_payload, report, xz)
            sboms |= self._sbom(packed_xz, contents, known)
            checked.result()
        files = [
            packed_tgz,
            packed_xz,
            *(self.place.write(name, sboms[name].text) for name in sboms),
        ]
        return Exported(
            files=tuple(sorted(files, key=lambda file: file.name)),
            payload=payload,
            report=report,
            lacks=tuple(dict.fromkeys(one for sbom in sboms.values() for one in sbom.lacks)),
            facts=facts | {"mtime": self.form.mtime, "tar": self.form.tar},
        )

    def _stream(
        self, contents: Contents, blurb: Sequence[str], work: Path
    ) -> AbstractContextManager[Stream]:
        def taken_down(member: Member) -> None:
            if not member.link:
                contents.take(member.path, member.data)

        return streamed(self.tree, form=self.form, blurb=blurb, work=work, look=taken_down)

    def _with_sbom(self, contents: Contents) -> bool:
        """Tell whether the tree says what an SBOM is made from: since 3.12, and if it does."""
        return self.version.minor >= FIRST_WITH_SBOM and TREE_SBOM in contents.kept

    def _sbom(self, file: Packed, contents: Contents, known: Origins | None) -> dict[str, Sbom]:
        """Return the SBOM of an archive by its name; nothing where there is none."""
        if known is None:
            return {}
        sbom = source_sbom(
            contents,
            name=file.name,
            sha256=file.sha256,
            version=self.version,
            created=self.form.mtime,
            origins=known,
        )
        return {sbom_name(file.name): sbom}


class _Heard:
    """Passes on how far xz is, of what is known of the whole at that time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.whole = 0

    def __call__(self, taken: int) -> None:
        self._progress(taken, max(taken, self.whole))


def _fed(
    stream: AbstractContextManager[Stream], both: Packing, heard: _Heard
) -> tuple[Packed, bytes | None]:
    """Give the tar to both compressors; return what it was, and the NEWS that was made for it."""
    with stream as tar:
        heard.whole = tar.about
        payload = both.feed(tar.pieces)
        heard.whole = payload.size
        return payload, None if tar.news is None else tar.news()
