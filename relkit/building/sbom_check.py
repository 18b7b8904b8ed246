"""Read an SBOM with other eyes than its writer's, and hold it against the artifact.

It shares nothing with the writer but the list of what is bundled: an SBOM is refused for what it
says, whoever wrote it. Rules of form are those of SPDX 2.3 that a reader relies on; the whole
specification is checked by spdx-tools in the tests.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping

from relkit.building.contents import TREE_SBOM, Contents
from relkit.building.origins import bundled
from relkit.building.sbom_form import Document, Package, read_document
from relkit.errors import CheckError

ARCHIVE = re.compile(r"[Pp]ython-([0-9]+\.[0-9]+\.[0-9]+(?:(?:a|b|rc)[0-9]+)?)(?=[-.t])")
SHOWN = 3


def check_sbom(
    text: str, *, name: str, sha256: str, contents: Contents | None, created: int | None = None
) -> None:
    """Refuse an SBOM that is not valid, or not that of the artifact `name` with that digest.

    With the `contents` of a source archive, files and packages are held against them; None is for
    an installer, of which only name, digest and form can be known from outside. With `created`,
    seconds since 1970, the SBOM must be of that time. Raises `CheckError`: ``SBOM_INVALID`` (form),
    ``SBOM_TIME``, ``SBOM_SUBJECT`` (another artifact), ``SBOM_FILES``, ``SBOM_CODE`` (verification
    codes), ``SBOM_PACKAGES``.
    """
    document = read_document(text, name)
    if created is not None:
        _check_time(document, name, created)
    subject = _check_subject(document, name, sha256)
    if contents is not None:
        _Archive(document, subject, contents).check()
    _check_codes(document, strict=contents is not None)


def _check_time(document: Document, name: str, created: int) -> None:
    wanted = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created))
    if document.created != wanted:
        raise _refused("SBOM_TIME", f"the SBOM of {name} is of {document.created}, not of {wanted}")


def _check_subject(document: Document, name: str, sha256: str) -> Package:
    """Refuse an SBOM of another artifact; return the package that is the artifact."""
    described = [
        other
        for one, kind, other in document.relationships
        if (one, kind) == ("SPDXRef-DOCUMENT", "DESCRIBES")
    ]
    if len(described) != 1 or described[0] not in document.packages:
        raise _refused("SBOM_SUBJECT", f"the SBOM of {name} describes {described}, not one package")
    subject = document.packages[described[0]]
    if subject.file != name:
        raise _refused("SBOM_SUBJECT", f"the SBOM of {name} describes the file {subject.file!r}")
    if subject.digests.get("SHA256") != sha256:
        stated = subject.digests.get("SHA256")
        raise _refused("SBOM_SUBJECT", f"{name} has the digest {sha256}, its SBOM states {stated}")
    version = ARCHIVE.match(name)
    if version is None or subject.version != version[1]:
        raise _refused("SBOM_SUBJECT", f"the SBOM of {name} is of the version {subject.version!r}")
    return subject


class _Archive:
    """A source archive's SBOM beside what the archive holds."""

    def __init__(self, document: Document, subject: Package, contents: Contents) -> None:
        if TREE_SBOM not in contents.kept:
            raise _refused("SBOM_PACKAGES", f"the archive has no {TREE_SBOM} to compare with")
        text = contents.kept[TREE_SBOM].decode("utf-8", "replace")
        self.tree = read_document(text, TREE_SBOM, whole=False)
        self.document, self.subject, self.contents = document, subject, contents
        self.bundled = bundled(contents)
        self.wheels = {one.file: one for one in self.bundled if one.file}

    def check(self) -> None:
        """Refuse what does not agree; the order is that of what a reader asks first."""
        for one, kind, other in self.document.relationships:
            if kind not in {"DESCRIBES", "CONTAINS", "DEPENDS_ON"}:
                raise _refused("SBOM_INVALID", f"{one} {kind} {other} is nothing we say")
        self._check_files()
        self._check_packages()
        self._check_parts()
        self._check_needs()

    def _check_files(self) -> None:
        """Refuse unless each file of the archive is listed, no other, and with both digests."""
        listed = {file.name: file for file in self.document.files.values()}
        if len(listed) != len(self.document.files):
            raise _refused("SBOM_FILES", "the SBOM lists a file twice")
        present = self.contents.digests
        _same("SBOM_FILES", "files", present.keys(), listed.keys())
        for path, (sha1, sha256) in present.items():
            stated = listed[path].digests
            if stated != {"SHA1": sha1, "SHA256": sha256}:
                found = f"has the digests {sha1} and {sha256}"
                raise _refused("SBOM_FILES", f"{path} {found}, the SBOM states {stated}")

    def _check_packages(self) -> None:
        """Refuse unless the packages are CPython, the tree's own and the wheels', as they are."""
        own = self._own()
        wanted = [(one.name, one.version) for one in (self.subject, *own)]
        wanted += [(one.name, one.version) for one in self.bundled]
        packages = self.document.packages.values()
        listed = [(one.name, one.version) for one in packages]
        _same("SBOM_PACKAGES", "packages", wanted, listed)
        stated = {(one.name, one.version, *_published(one)) for one in packages}
        for package in own:
            if (package.name, package.version, *_published(package)) not in stated:
                what = f"{package.name} {package.version} comes from elsewhere than {TREE_SBOM} has"
                raise _refused("SBOM_PACKAGES", f"{what}: {' '.join(_published(package))}")
        digests = {(one.name, one.version, one.digests.get("SHA256")) for one in packages}
        for wheel in self.wheels.values():
            if (wheel.name, wheel.version, wheel.sha256) not in digests:
                what = f"{wheel.file} has the digest {wheel.sha256}"
                raise _refused("SBOM_PACKAGES", f"{what}, the SBOM states another")

    def _own(self) -> list[Package]:
        """Return the tree's packages but those that its wheels stand for (pip, at first)."""
        names = {one.name for one in self.wheels.values()}
        gone = {key for key, one in self.tree.packages.items() if one.name in names}
        gone |= {
            other
            for one, kind, other in self.tree.relationships
            if kind == "DEPENDS_ON" and one in gone
        }
        return [one for key, one in self.tree.packages.items() if key not in gone]

    def _check_parts(self) -> None:
        """Refuse unless each file is in one package, and the tree's files in the tree's."""
        placed = _holders(self.document)
        wanted = dict.fromkeys(self.contents.digests, self.subject.name)
        wanted |= _holders(self.tree)
        for path in self.contents.wheels:
            wanted[path] = self.wheels[path.rpartition("/")[2]].name
        for path in self.contents.digests:
            if placed.get(path) != wanted[path]:
                what = f"{path} is of the package {wanted[path]}, here of {placed.get(path)}"
                raise _refused("SBOM_FILES", what)

    def _check_needs(self) -> None:
        """Refuse unless every package is reached from CPython."""
        needs: dict[str, set[str]] = {}
        for one, kind, other in self.document.relationships:
            if kind == "DEPENDS_ON":
                needs.setdefault(one, set()).add(other)
        reached: set[str] = set()
        waiting = [self.subject.key]
        while waiting:
            key = waiting.pop()
            if key not in reached:
                reached.add(key)
                waiting += needs.get(key, ())
        if apart := self.document.packages.keys() - reached:
            raise _refused("SBOM_PACKAGES", f"nothing needs {', '.join(sorted(apart)[:SHOWN])}")


def _published(package: Package) -> tuple[str, str]:
    return package.location, package.digests.get("SHA256", "no digest")


def _holders(document: Document) -> dict[str, str]:
    """Return the name of the package that contains each path; refuse a second one."""
    found: dict[str, str] = {}
    for one, kind, other in document.relationships:
        if kind != "CONTAINS":
            continue
        if one not in document.packages or other not in document.files:
            raise _refused("SBOM_INVALID", f"{one} contains {other}: no package, or no file")
        path = document.files[other].name
        if path in found:
            raise _refused("SBOM_FILES", f"{path} is in {found[path]} and in another package")
        found[path] = document.packages[one].name
    return found


def _check_codes(document: Document, *, strict: bool) -> None:
    """Refuse a code (7.9) that is not that of the package's files, and one that is missing.

    SBOMs of installers list no files, and leave out what they should say of that: not `strict`.
    """
    parts: dict[str, list[str]] = {key: [] for key in document.packages}
    for one, kind, other in document.relationships:
        if kind == "CONTAINS" and one in parts and other in document.files:
            parts[one].append(document.files[other].digests["SHA1"])
    for key, package in document.packages.items():
        if package.analysed:
            joined = "".join(sorted(parts[key])).encode()
            wanted = hashlib.sha1(joined, usedforsecurity=False).hexdigest()
        else:
            wanted = ""
        if package.code != wanted and (strict or package.code):
            what = f"{package.name} states the verification code {package.code!r}, not {wanted!r}"
            raise _refused("SBOM_CODE", what)
        if parts[key] and not package.analysed:
            raise _refused("SBOM_CODE", f"{package.name} has files, and says they were not read")


def _same(code: str, what: str, wanted: Iterable[object], found: Iterable[object]) -> None:
    """Refuse two lists that are not the same in any order; name what is missing and what is more.

    Both may be as long as an archive, so only the first of each are named.
    """
    expected, present = Counter(wanted), Counter(found)
    missing, more = expected - present, present - expected
    if missing or more:
        raise _refused(code, f"the {what} differ; missing: {_first(missing)}; more: {_first(more)}")


def _first(items: Mapping[object, int]) -> str:
    names = sorted(" ".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in items)
    return ", ".join(names[:SHOWN]) + ("…" if len(names) > SHOWN else "") if names else "none"


def _refused(code: str, what: str) -> CheckError:
    return CheckError(
        what,
        code=code,
        remedy="Do not publish this SBOM. Build it anew from the artifact and the tagged tree.",
    )
