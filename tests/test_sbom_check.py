"""An SBOM that does not say what is in its artifact is refused, each kind by its code."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sboms import (
    CREATED,
    NAME,
    SHA256,
    VERSION,
    Change,
    Document,
    broken,
    check,
    contains,
    contents,
    document,
    package,
    sbom,
)

from relkit.building.sbom_check import check_sbom
from relkit.errors import CheckError


def test_what_is_written_stands() -> None:
    check(sbom().text)


def drop(kind: str, position: int = 0) -> Change:
    return lambda told: told[kind].pop(position)


def change_in(kind: str, name: str, key: str, value: object) -> Change:
    def change(told: Document) -> None:
        label = "name" if kind == "packages" else "fileName"
        [one] = [each for each in told[kind] if each[label] == name]
        one[key] = value

    return change


def digests(sha1: str, sha256: str) -> list[dict[str, str]]:
    return [
        {"algorithm": "SHA1", "checksumValue": sha1},
        {"algorithm": "SHA256", "checksumValue": sha256},
    ]


def without_package(name: str) -> Change:
    """Take a package out with every relationship of it."""

    def change(told: Document) -> None:
        key = package(told, name)["SPDXID"]
        told["packages"] = [one for one in told["packages"] if one["SPDXID"] != key]
        told["relationships"] = [one for one in told["relationships"] if key not in one.values()]

    return change


def without_file(name: str) -> Change:
    def change(told: Document) -> None:
        [key] = [one["SPDXID"] for one in told["files"] if one["fileName"] == name]
        told["files"] = [one for one in told["files"] if one["SPDXID"] != key]
        told["relationships"] = [one for one in told["relationships"] if key not in one.values()]

    return change


def moved_file(name: str, holder: str) -> Change:
    def change(told: Document) -> None:
        [key] = [one["SPDXID"] for one in told["files"] if one["fileName"] == name]
        [one] = [each for each in told["relationships"] if each["relatedSpdxElement"] == key]
        one["spdxElementId"] = holder

    return change


def added_file(told: Document) -> None:
    one = {**told["files"][0], "SPDXID": "SPDXRef-FILE-more", "fileName": "m4/build-to-host.m4"}
    told["files"].append(one)
    contains("SPDXRef-PACKAGE-cpython", "SPDXRef-FILE-more")(told)


def added_package(told: Document) -> None:
    told["packages"].append({**package(told, "countable"), "name": "x", "SPDXID": "SPDXRef-x"})
    contains("SPDXRef-PACKAGE-cpython", "SPDXRef-x", "DEPENDS_ON")(told)


def unneeded(told: Document) -> None:
    told["relationships"] = [
        one for one in told["relationships"] if not one["relatedSpdxElement"].endswith("countable")
    ]


MUTANTS: dict[str, tuple[str, Change]] = {
    "of another archive": (
        "SBOM_SUBJECT",
        change_in("packages", "CPython", "packageFileName", f"Python-{VERSION}.tar.xz"),
    ),
    "with another digest": (
        "SBOM_SUBJECT",
        change_in("packages", "CPython", "checksums", digests("0" * 40, "0" * 64)),
    ),
    "without a digest": ("SBOM_SUBJECT", change_in("packages", "CPython", "checksums", [])),
    "of another version": (
        "SBOM_SUBJECT",
        change_in("packages", "CPython", "versionInfo", "3.15.0a1"),
    ),
    "about another package": ("SBOM_SUBJECT", lambda told: told["relationships"].clear()),
    "without a package": ("SBOM_PACKAGES", without_package("countable")),
    "without the tree's package": ("SBOM_PACKAGES", without_package("beads")),
    "with a package more": ("SBOM_PACKAGES", added_package),
    "with a package's other version": (
        "SBOM_PACKAGES",
        change_in("packages", "beads", "versionInfo", "1.1"),
    ),
    "with another pip": (
        "SBOM_PACKAGES",
        change_in("packages", "pip", "checksums", digests("0" * 40, "0" * 64)),
    ),
    "with a package from elsewhere": (
        "SBOM_PACKAGES",
        change_in("packages", "beads", "downloadLocation", "https://elsewhere.invalid/"),
    ),
    "with a package nobody needs": ("SBOM_PACKAGES", unneeded),
    "without a file": ("SBOM_FILES", without_file("Lib/abacus.py")),
    "with a file more": ("SBOM_FILES", added_file),
    "with a file's other digest": (
        "SBOM_FILES",
        change_in("files", "Lib/abacus.py", "checksums", digests("0" * 40, "0" * 64)),
    ),
    "with a file's SHA-1 alone": (
        "SBOM_FILES",
        lambda told: told["files"][0]["checksums"].pop(),
    ),
    "with a file in another package": (
        "SBOM_FILES",
        moved_file("Modules/beads/beads.h", "SPDXRef-PACKAGE-cpython"),
    ),
    "with a file in no package": (
        "SBOM_FILES",
        lambda told: told["relationships"].remove(
            next(one for one in told["relationships"] if one["relationshipType"] == "CONTAINS")
        ),
    ),
    "with a file in two packages": (
        "SBOM_FILES",
        contains("SPDXRef-PACKAGE-cpython", "SPDXRef-FILE-Modules-beads-beads.h"),
    ),
    "with a file listed twice": (
        "SBOM_FILES",
        lambda told: told["files"].append({**told["files"][0], "SPDXID": "SPDXRef-FILE-again"}),
    ),
    "with another verification code": (
        "SBOM_CODE",
        change_in(
            "packages",
            "beads",
            "packageVerificationCode",
            {"packageVerificationCodeValue": "0" * 40},
        ),
    ),
    "without a verification code": (
        "SBOM_CODE",
        lambda told: [one.pop("packageVerificationCode", 0) for one in told["packages"]],
    ),
    "with files nobody read": (
        "SBOM_CODE",
        change_in("packages", "beads", "filesAnalyzed", value=False),
    ),
    "with a package whose files nobody listed": (
        "SBOM_CODE",
        change_in("packages", "countable", "filesAnalyzed", value=True),
    ),
    "of another format": ("SBOM_INVALID", broken("spdxVersion", "SPDX-2.2")),
    "of no format": ("SBOM_INVALID", lambda told: told.pop("spdxVersion")),
    "under another licence": ("SBOM_INVALID", broken("dataLicense", "MIT")),
    "with another id": ("SBOM_INVALID", broken("SPDXID", "SPDXRef-other")),
    "without a name": ("SBOM_INVALID", broken("name", "")),
    "of another namespace": (
        "SBOM_INVALID",
        broken("documentNamespace", "https://www.python.org/ftp/python/x.spdx.json"),
    ),
    "made at no time": (
        "SBOM_INVALID",
        lambda told: told["creationInfo"].update(created="yesterday"),
    ),
    "made by nobody": ("SBOM_INVALID", lambda told: told["creationInfo"].update(creators=[])),
    "with one id for two files": (
        "SBOM_INVALID",
        lambda told: told["files"][0].update(SPDXID=told["files"][1]["SPDXID"]),
    ),
    "with one id for a file and a package": (
        "SBOM_INVALID",
        lambda told: told["files"][0].update(SPDXID="SPDXRef-PACKAGE-pip"),
    ),
    "with an id that is none": (
        "SBOM_INVALID",
        lambda told: told["files"][0].update(SPDXID="SPDXRef-FILE-a_b"),
    ),
    "with a relationship to nothing": (
        "SBOM_INVALID",
        contains("SPDXRef-PACKAGE-cpython", "SPDXRef-FILE-nothing"),
    ),
    "with a relationship of nothing": (
        "SBOM_INVALID",
        contains("SPDXRef-nothing", "SPDXRef-PACKAGE-pip", "DEPENDS_ON"),
    ),
    "with a file that contains": (
        "SBOM_INVALID",
        contains("SPDXRef-FILE-LICENSE", "SPDXRef-FILE-Lib-abacus.py"),
    ),
    "with a relationship we never state": (
        "SBOM_INVALID",
        contains("SPDXRef-PACKAGE-pip", "SPDXRef-PACKAGE-beads", "COPY_OF"),
    ),
    "with a relationship twice": (
        "SBOM_INVALID",
        lambda told: told["relationships"].append(told["relationships"][0]),
    ),
    "with a digest that is none": (
        "SBOM_INVALID",
        change_in("files", "LICENSE", "checksums", digests("0" * 40, "xyz")),
    ),
    "without files": ("SBOM_INVALID", lambda told: told.pop("files")),
    "with files of another kind": ("SBOM_INVALID", broken("files", {"a": 1})),
    "with a file of another kind": ("SBOM_INVALID", lambda told: told["files"].append(None)),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_an_sbom_is_refused(name: str) -> None:
    code, change = MUTANTS[name]
    told = document()
    change(told)
    with pytest.raises(CheckError) as refused:
        check(json.dumps(told))
    assert refused.value.code == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        "[" * 100_000,
        '{"a": NaN}',
        '{"a": 1e9999999, "b": ' + "9" * 5000 + "}",
        '{"spdxVersion": "SPDX-2.3", "spdxVersion": "SPDX-2.3"}',
        " " * ((16 << 20) + 1),
    ],
    ids=["empty", "list", "null", "cut", "deep", "nan", "number", "doubled key", "huge"],
)
def test_what_is_no_document_is_refused(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(CheckError, match="SBOM_INVALID"):
        check(text)
    assert time.monotonic() - started < 2


def test_a_doubled_key_deep_inside_is_refused() -> None:
    text = sbom().text.replace('"fileName": "LICENSE"', '"fileName": "x", "fileName": "LICENSE"')
    with pytest.raises(CheckError, match=r"SBOM_INVALID.*stands twice"):
        check(text)


def test_the_sbom_of_one_archive_is_not_that_of_the_other() -> None:
    with pytest.raises(CheckError, match="SBOM_INVALID"):
        check_sbom(sbom().text, name=f"Python-{VERSION}.tar.xz", sha256=SHA256, contents=contents())
    with pytest.raises(CheckError, match="SBOM_SUBJECT"):
        check_sbom(sbom().text, name=NAME, sha256="0" * 64, contents=contents())


def test_an_sbom_is_of_the_time_of_the_commit_where_that_is_known() -> None:
    def check_time(created: int) -> None:
        check_sbom(sbom().text, name=NAME, sha256=SHA256, contents=contents(), created=created)

    check_time(CREATED)
    with pytest.raises(CheckError, match=r"SBOM_TIME.*14:13:20Z, not of 2026-09-21T14:13:21Z"):
        check_time(CREATED + 1)


@given(st.data())
def test_an_sbom_cut_or_changed_anywhere_is_never_an_accident(data: st.DataObject) -> None:
    """What is not refused by name is no exception of another kind either."""
    text = sbom().text
    at = data.draw(st.integers(0, len(text) - 1))
    new = text[:at] + data.draw(st.sampled_from(["", '"', "0", "}", "\x00", "é"])) + text[at + 1 :]
    with suppress(CheckError):
        check(new)


# --- an installer's


INSTALLER = "python-3.15.0a2-amd64.exe"


def installer() -> Document:
    """Return an SBOM as those of Windows' installers are: no files, and no word on that."""
    return {
        "SPDXID": "SPDXRef-DOCUMENT",
        "spdxVersion": "SPDX-2.3",
        "name": "CPython SBOM",
        "dataLicense": "CC0-1.0",
        "documentNamespace": f"https://www.python.org/ftp/python/3.15.0/{INSTALLER}.spdx.json",
        "creationInfo": {"created": "2026-09-21T14:13:20Z", "creators": ["Tool: other-1"]},
        "packages": [
            {
                "SPDXID": "SPDXRef-PACKAGE-cpython",
                "name": "CPython",
                "versionInfo": "3.15.0a2",
                "packageFileName": INSTALLER,
                "downloadLocation": f"https://www.python.org/ftp/python/3.15.0/{INSTALLER}",
                "checksums": [{"algorithm": "SHA256", "checksumValue": SHA256}],
            }
        ],
        "files": [],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relatedSpdxElement": "SPDXRef-PACKAGE-cpython",
                "relationshipType": "DESCRIBES",
            }
        ],
    }


def check_installer(told: Document) -> None:
    check_sbom(json.dumps(told), name=INSTALLER, sha256=SHA256, contents=None)


def test_an_installers_sbom_is_taken_in_by_form_name_and_digest() -> None:
    check_installer(installer())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (broken("spdxVersion", "SPDX-3.0"), "SBOM_INVALID"),
        (broken("documentNamespace", f"https://x.invalid/{NAME}.spdx.json"), "SBOM_INVALID"),
        (
            change_in("packages", "CPython", "packageFileName", "python-3.15.0a2.exe"),
            "SBOM_SUBJECT",
        ),
        (change_in("packages", "CPython", "checksums", []), "SBOM_SUBJECT"),
        (change_in("packages", "CPython", "versionInfo", "3.14.0"), "SBOM_SUBJECT"),
        (
            change_in(
                "packages",
                "CPython",
                "packageVerificationCode",
                {"packageVerificationCodeValue": "0" * 40},
            ),
            "SBOM_CODE",
        ),
    ],
)
def test_an_installers_sbom_is_refused(change: Change, code: str) -> None:
    told = installer()
    change(told)
    with pytest.raises(CheckError) as refused:
        check_installer(told)
    assert refused.value.code == code
