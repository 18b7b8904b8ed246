"""What a second person can find out alone about source archives, with nothing but a clone.

Three levels, each of which says more than the one before, and none of which stands for another:

* **content**: every file of the archive is the tag's, by its blob id, but for differences that are
  allowed, counted and explained;
* **payload**: the tar, made again from the tag, has the same SHA-256: also names of owners, times,
  modes and the order are those of the recipe;
* **bitwise**: the file itself, compressed again, has the same SHA-256. This depends on the
  compressors, and takes as long as they do.

Nothing is unpacked to the disk. An archive that is unsafe or damaged is refused before it is
compared with anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from relkit.building.again import News, packed_again, sha256_of, tar_again
from relkit.building.archive import DEVICES, NEWS, Form, Removal, removals, top_folder
from relkit.building.archive_read import Found
from relkit.building.archive_stream import unpacked
from relkit.building.compare import TreeReport, check_same_tar, compare_tar
from relkit.building.lane import Packed
from relkit.building.objects import Objects, Tree
from relkit.building.source import archived_paths
from relkit.building.tag import Tag, read_tag
from relkit.release import Version

Level = Literal["content", "payload", "bitwise"]
LEVELS: tuple[Level, ...] = ("content", "payload", "bitwise")
Verdict = Literal["equal", "differs", "cannot tell", "not tried"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What was found at one level, and how, or why not."""

    level: Level
    verdict: Verdict
    how: str


@dataclass(frozen=True)
class Verified:
    """What was found out about the archives of a tag.

    `files` are the archives as they were read; `left_out` counts files for each entry of the
    branch's list. `tar` is the form of GNU tar that fits, `blurb` the version that makes the
    archive's NEWS; empty where none does, or none was needed. `odd` names what content does not
    cover.
    """

    tag: Tag
    files: tuple[Packed, ...]
    report: TreeReport
    outcomes: tuple[Outcome, ...]
    left_out: tuple[tuple[Removal, int], ...]
    tar: str
    blurb: str
    odd: tuple[str, ...]

    def verdict(self, level: Level) -> Verdict:
        """Return what was found at a level."""
        return next(one.verdict for one in self.outcomes if one.level == level)

    @property
    def reached(self) -> tuple[Level, ...]:
        """The levels at which the archives are equal."""
        return tuple(one.level for one in self.outcomes if one.verdict == "equal")


@dataclass
class _Odd:
    """What is unusual about members and no part of their content."""

    mtime: int
    owners: Counter[str] = field(default_factory=Counter)
    times: int = 0
    modes: int = 0

    def look(self, found: Found) -> None:
        if found.owner:
            self.owners[found.owner] += 1
        self.times += found.mtime != self.mtime
        usual = 0o777 if found.kind == "link" else 0o755
        self.modes += found.kind != "link" and found.mode not in {0o644, usual}

    def lines(self) -> tuple[str, ...]:
        """Return a line for each kind."""
        shown = [f"{count} members belong to {who}" for who, count in self.owners.most_common(3)]
        if self.times:
            shown.append(f"{self.times} members have another time than the commit")
        if self.modes:
            shown.append(f"{self.modes} members have other permissions than 0644 and 0755")
        return tuple(shown)


@dataclass(frozen=True)
class Asked:
    """What is to be verified, and how far: the last of the three levels that is tried.

    `tar` is one form of GNU tar, or empty: each is tried. `blurbs` are folders of installed
    blurbs, the likeliest first. `work` is an empty folder.
    """

    tag: str
    version: Version
    archives: tuple[Path, ...]
    level: Level
    tar: str
    blurbs: tuple[Path, ...]
    work: Path


def verify(objects: Objects, asked: Asked, progress: Progress) -> Verified:
    """Compare archives of one tag with what the tag gives; `progress` is called while xz runs.

    Raises `CheckError` (``ARCHIVE_UNSAFE``, ``ARCHIVE_DAMAGED``, ``ARCHIVES_DIFFER``,
    ``TAG_NAME_MISMATCH``, ``TOOL_DRIFT``), `UsageError` and `WorldError`. What differs from the
    tag is in the result.
    """
    return _Verifying(objects, asked, read_tag(objects, asked.tag), progress).verified()


@dataclass
class _Verifying:
    objects: Objects
    asked: Asked
    tag: Tag
    progress: Progress
    odd: _Odd = field(init=False)
    news: News = field(init=False)
    order: list[str] = field(init=False)
    tar: str = ""

    def verified(self) -> Verified:
        commit, listed = self.tag.commit, removals(self.asked.version)
        paths = {entry.path for entry in self.objects.entries(commit)}
        self.order = archived_paths(paths, listed)
        self.odd = _Odd(self.objects.commit_time(commit))
        self.news = News(self.objects, commit, self.asked.blurbs, self.asked.work / "news")
        makes = NEWS in self.order and NEWS not in paths
        report, files = self._compared(Tree(self.objects, commit, listed), makes=makes)
        outcomes = [self._content(report)]
        outcomes.append(self._next(outcomes[-1], "payload", lambda: self._payload(report)))
        outcomes.append(self._next(outcomes[-1], "bitwise", lambda: self._bitwise(report, files)))
        counts = ((one, report.left_out.get(one.path, 0)) for one in listed)
        return Verified(
            tag=self.tag,
            files=files,
            report=report,
            outcomes=tuple(outcomes),
            left_out=tuple((one, count) for one, count in counts if count),
            tar=self.tar,
            blurb=self.news.fits,
            odd=self.odd.lines(),
        )

    def _compared(self, tree: Tree, *, makes: bool) -> tuple[TreeReport, tuple[Packed, ...]]:
        """Read every archive once: the first is compared, the others hold the same tar."""
        first, *others = (unpacked(path) for path in self.asked.archives)
        report = compare_tar(
            tree,
            first,
            top=top_folder(self.asked.version),
            is_news=self.news.is_news if makes else None,
            look=self.odd.look,
        )
        for other in others:
            other.drain()
            check_same_tar(report, other)
        return report, tuple(
            Packed(one.name, one.file_size, one.file_sha256) for one in (first, *others)
        )

    def _content(self, report: TreeReport) -> Outcome:
        if report.unexplained:
            others = [one for one in report.unexplained if one.path != NEWS]
            how = f"{len(report.unexplained)} differences are not explained"
            if not others:
                tried = ", ".join(sorted(self.news.texts)) or "none"
                how = f"{NEWS} is not what blurb makes of the tag (tried: {tried})"
            return Outcome("content", "differs", how)
        if report.generated and not self.news.fits:
            stopped = ", ".join(self.news.stopped) or "none is installed"
            how = f"no blurb here can make {NEWS} of the tag (tried: {stopped})"
            return Outcome("content", "cannot tell", how)
        by = f"; {NEWS} as blurb {self.news.fits} makes it" if self.news.fits else ""
        ends = (
            f", {report.by_eol} with the line ends that the tag asks for" if report.by_eol else ""
        )
        how = f"{report.files:,} files: {report.equal:,} by blob id{ends}{by}"
        return Outcome("content", "equal", how)

    def _next(self, before: Outcome, level: Level, judge: Callable[[], Outcome]) -> Outcome:
        """Try a level, if it was asked for and the one before is equal."""
        if LEVELS.index(level) > LEVELS.index(self.asked.level):
            return Outcome(level, "not tried", f"ask for it: --level {level}")
        if before.verdict != "equal":
            return Outcome(level, "not tried", f"{before.level} is not equal")
        return judge()

    def _payload(self, report: TreeReport) -> Outcome:
        forms = (self.asked.tar,) if self.asked.tar else tuple(sorted(DEVICES, reverse=True))
        for tar in forms:
            if sha256_of(self._tar(tar)) == report.payload_sha256:
                self.tar = tar
                how = f"SHA-256 of the tar {report.payload_sha256}, headers of GNU tar {tar}"
                return Outcome("payload", "equal", how)
        how = f"made again, the tar is another one (headers tried: GNU tar {', '.join(forms)})"
        return Outcome("payload", "differs", how)

    def _tar(self, tar: str) -> Iterator[bytes]:
        form = Form(top_folder(self.asked.version), self.odd.mtime, tar)
        news = self.news.texts.get(self.news.fits)
        return tar_again(self.objects, self.tag.commit, self.order, form, news)

    def _bitwise(self, report: TreeReport, files: Sequence[Packed]) -> Outcome:
        folder = self.asked.work / "packed"
        folder.mkdir()
        whole = report.payload_bytes
        made = packed_again(
            self._tar(self.tar),
            [one.name for one in files],
            folder,
            lambda done: self.progress(done, whole),
        )
        others = [one.name for one in files if made[one.name] != one.sha256]
        if others:
            how = f"packed again, {' and '.join(others)} has other bytes"
            return Outcome("bitwise", "differs", f"{how}: another compressor, or other settings")
        return Outcome("bitwise", "equal", "packed again by GNU gzip -9 and liblzma's preset 6")
