"""Read SPDX 2.3 as JSON, strictly: what is doubled, dangling or of another kind is refused."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from relkit.errors import CheckError

MAX_CHARACTERS = 16 << 20
"""Several times what the SBOM of a source archive has."""
MAX_ELEMENTS = 200_000
ID = re.compile(r"SPDXRef-[A-Za-z0-9.-]+")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
CREATOR = re.compile(r"(?:Person|Organization|Tool): \S.*")
DIGESTS = {"SHA1": re.compile(r"[0-9a-f]{40}"), "SHA256": re.compile(r"[0-9a-f]{64}")}
NOWHERE = {"NOASSERTION", "NONE"}
T = TypeVar("T")


@dataclass(frozen=True)
class File:
    """A file: its path, and its digests by algorithm."""

    name: str
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Package:
    """A package: its id, and what a reader goes by; `code` is empty where there is none."""

    key: str
    name: str
    version: str
    location: str
    file: str
    digests: Mapping[str, str]
    analysed: bool
    code: str


@dataclass(frozen=True)
class Document:
    """What a document says, by id; relationships are subject, type and object.

    `created` is its time, ``2026-09-21T14:13:20Z``; empty in the part that a tree brings.
    """

    created: str
    packages: Mapping[str, Package]
    files: Mapping[str, File]
    relationships: tuple[tuple[str, str, str], ...]


def read_document(text: str, name: str, *, whole: bool = True) -> Document:
    """Read the SBOM of the artifact `name`, or refuse it (``SBOM_INVALID``).

    A document that is not `whole` is the part that a tree of CPython brings: packages, files and
    relationships without a head.
    """
    return _Reader(name).read(text, whole=whole)


@dataclass(frozen=True)
class _Reader:
    name: str

    def read(self, text: str, *, whole: bool) -> Document:
        if len(text) > MAX_CHARACTERS:
            self._refuse(f"it has {len(text)} characters")
        document = self._of(dict, self._parse(text), "the document")
        created = self._head(document) if whole else ""
        packages = [self._package(one) for one in self._elements(document, "packages")]
        files = [(self._id(one), self._file(one)) for one in self._elements(document, "files")]
        keys = ["SPDXRef-DOCUMENT", *(one.key for one in packages), *(key for key, _ in files)]
        self._check_unique(keys)
        known = set(keys)
        related = self._elements(document, "relationships")
        found = tuple(self._relationship(one, known) for one in related)
        if len(set(found)) != len(found):
            self._refuse("a relationship stands twice")
        return Document(created, {one.key: one for one in packages}, dict(files), found)

    def _parse(self, text: str) -> object:
        try:
            parsed: object = json.loads(
                text, object_pairs_hook=self._object, parse_constant=self._refuse
            )
        except (ValueError, RecursionError) as error:
            self._refuse(f"it is not JSON: {error}"[:200])
        return parsed

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = Counter(key for key, _ in pairs)
            self._refuse(f"a key stands twice: {names.most_common(1)[0][0]!r:.60}")
        return found

    def _head(self, document: dict[str, object]) -> str:
        """Check what stands above packages and files; return when that was written."""
        wanted = {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
        }
        for key, value in wanted.items():
            if document.get(key) != value:
                self._refuse(f"its {key} is {document.get(key)!r:.60}, not {value}")
        self._text(document, "name")
        namespace = self._text(document, "documentNamespace")
        end = f"/{self.name}.spdx.json"
        if not namespace.startswith("https://") or not namespace.endswith(end) or "#" in namespace:
            self._refuse(f"its namespace is {namespace[:200]!r}, not https://…{end}")
        creation = self._of(dict, document.get("creationInfo"), "creationInfo")
        created = self._text(creation, "created")
        if not TIME.fullmatch(created):
            self._refuse(f"it was created at {created[:60]!r}, which is no time in UTC")
        creators = self._list(creation, "creators", str)
        if not creators or not all(CREATOR.fullmatch(one) for one in creators):
            self._refuse(f"its creators are {creators!r:.100}")
        return created

    def _check_unique(self, keys: list[str]) -> None:
        seen: set[str] = set()
        for key in keys:
            if key in seen:
                self._refuse(f"the id {key} stands twice")
            seen.add(key)

    def _package(self, one: dict[str, object]) -> Package:
        analysed, code = one.get("filesAnalyzed", True), one.get("packageVerificationCode")
        value = ""
        if code is not None:
            found = self._of(dict, code, "packageVerificationCode")
            value = self._text(found, "packageVerificationCodeValue")
        return Package(
            key=self._id(one),
            name=self._text(one, "name"),
            version=self._text(one, "versionInfo"),
            location=self._text(one, "downloadLocation"),
            file=self._text(one, "packageFileName") if "packageFileName" in one else "",
            digests=self._digests(one),
            analysed=self._of(bool, analysed, "filesAnalyzed"),
            code=value,
        )

    def _file(self, one: dict[str, object]) -> File:
        digests = self._digests(one)
        name = self._text(one, "fileName")
        if "SHA1" not in digests:
            self._refuse(f"it states no SHA1 of {name[:100]!r}")
        return File(name, digests)

    def _digests(self, one: dict[str, object]) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in self._elements(one, "checksums") if "checksums" in one else []:
            algorithm, value = self._text(each, "algorithm"), self._text(each, "checksumValue")
            form = DIGESTS.get(algorithm, re.compile(r"[0-9a-f]+"))
            if algorithm in found or not form.fullmatch(value):
                self._refuse(f"{value[:100]!r} is no {algorithm[:20]}, or a second one")
            found[algorithm] = value
        return found

    def _relationship(self, one: dict[str, object], known: set[str]) -> tuple[str, str, str]:
        names = ("spdxElementId", "relationshipType", "relatedSpdxElement")
        subject, kind, other = (self._text(one, name) for name in names)
        if subject not in known or other not in known | NOWHERE:
            self._refuse(f"{subject[:60]} {kind[:40]} {other[:60]} leads nowhere")
        return subject, kind, other

    def _id(self, one: dict[str, object]) -> str:
        key = self._text(one, "SPDXID")
        if not ID.fullmatch(key):
            self._refuse(f"{key[:100]!r} is no id")
        return key

    def _text(self, one: dict[str, object], key: str) -> str:
        value = self._of(str, one.get(key), key)
        return value or self._refuse(f"{key} is empty")

    def _elements(self, one: dict[str, object], key: str) -> list[dict[str, object]]:
        return self._list(one, key, dict)

    def _list(self, one: dict[str, object], key: str, kind: type[T]) -> list[T]:
        value = self._of(list, one.get(key), key)
        if len(value) > MAX_ELEMENTS:
            self._refuse(f"{key} has {len(value)} elements")
        return [self._of(kind, each, f"an element of {key}") for each in value]

    def _of(self, kind: type[T], value: object, what: str) -> T:
        if not isinstance(value, kind):
            self._refuse(f"{what} is missing or of another kind: {value!r:.60}")
        return value

    def _refuse(self, why: str) -> NoReturn:
        raise CheckError(
            f"the SBOM of {self.name} is not valid: {why}",
            code="SBOM_INVALID",
            remedy="Do not publish this SBOM. Have it made anew by whoever made the artifact.",
        )
