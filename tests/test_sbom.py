"""An SBOM says what is in an archive: valid, and the same each time."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sboms import (
    CREATED,
    NAME,
    SHA256,
    TREE,
    VERSION,
    Change,
    Document,
    archive,
    broken,
    check,
    contains,
    contents,
    document,
    messages,
    package,
    related,
    run,
    sbom,
    with_tree_sbom,
    with_wheel,
)

from relkit.building import spdx
from relkit.building.archive_read import read_members
from relkit.building.archive_stream import unpacked
from relkit.building.contents import TREE_SBOM, Contents
from relkit.building.origins import NO_ORIGINS, Bundled, Origin, bundled
from relkit.building.sbom import source_sbom
from relkit.building.sbom_check import check_sbom
from relkit.errors import CheckError, ReleaseError
from relkit.rehearsal.bundled import WHEEL
from relkit.release import Version

TARBALLS = Path(os.environ.get("RELKIT_TARBALLS", "/nonexistent"))
REAL = "Python-3.13.5.tar.xz"


# --- what it says


def test_the_tool_of_the_spdx_project_finds_nothing_wrong(tmp_path: Path) -> None:
    """I21: ids were there twice, in many releases."""
    origins = {one: Origin(f"https://index.invalid/{one.name}.whl", SHA256) for one in bundles()}
    for known in (NO_ORIGINS, origins):
        assert messages(sbom(origins=known).text, tmp_path) == []


def test_that_tool_would_find_what_is_wrong(tmp_path: Path) -> None:
    told = document()
    told["files"][0]["SPDXID"] = told["files"][1]["SPDXID"]
    assert messages(json.dumps(told), tmp_path)


def bundles() -> tuple[Bundled, ...]:
    return bundled(contents())


def test_its_head_comes_from_the_release() -> None:
    told = document()
    assert told["spdxVersion"] == "SPDX-2.3"
    assert told["dataLicense"] == "CC0-1.0"
    assert told["documentNamespace"] == f"https://www.python.org/ftp/python/3.15.0/{NAME}.spdx.json"
    assert told["creationInfo"]["created"] == "2026-09-21T14:13:20Z"
    tool = re.fullmatch(r"Tool: relkit-[0-9.]+", told["creationInfo"]["creators"][1])
    assert tool, "no clock and no checkout of a tool"


def test_the_archive_is_described_by_name_digest_and_version() -> None:
    told = document()
    cpython = package(told, "CPython")
    assert related(told, "DESCRIBES") == {("SPDXRef-DOCUMENT", cpython["SPDXID"])}
    assert cpython["packageFileName"] == NAME
    assert cpython["checksums"] == [{"algorithm": "SHA256", "checksumValue": SHA256}]
    assert cpython["versionInfo"] == "3.15.0a2"
    assert cpython["licenseConcluded"] == "PSF-2.0"
    [cpe] = cpython["externalRefs"]
    assert cpe["referenceLocator"] == "cpe:2.3:a:python:python:3.15.0:alpha2:*:*:*:*:*:*"


def test_every_file_is_listed_and_in_the_package_it_belongs_to() -> None:
    told, given = document(), contents()
    listed = {
        one["fileName"]: tuple(each["checksumValue"] for each in one["checksums"])
        for one in told["files"]
    }
    assert listed == given.digests
    names = {one["SPDXID"]: one["fileName"] for one in told["files"]}
    places: dict[str, set[str]] = {}
    for holder, file in related(told, "CONTAINS"):
        places.setdefault(holder, set()).add(names[file])
    beads = {path for path in TREE if path.startswith("Modules/beads/")}
    assert places.pop("SPDXRef-PACKAGE-beads") == beads
    assert places.pop("SPDXRef-PACKAGE-pip") == {WHEEL}
    assert places == {"SPDXRef-PACKAGE-cpython": TREE.keys() - beads - {WHEEL}}


def test_pip_and_what_it_vendors_are_read_from_the_wheel() -> None:
    told = document()
    pip = package(told, "pip")
    assert pip["versionInfo"] == "0.0"
    assert pip["checksums"][0]["checksumValue"] == contents().digests[WHEEL][1]
    assert package(told, "countable")["externalRefs"][0]["referenceLocator"] == (
        "pkg:pypi/countable@0.4.1"
    )
    root = "SPDXRef-PACKAGE-"
    assert related(told, "DEPENDS_ON") == {
        (f"{root}cpython", f"{root}beads"),
        (f"{root}cpython", f"{root}pip"),
        (f"{root}pip", f"{root}abacus-wires"),
        (f"{root}pip", f"{root}countable"),
    }


def test_what_no_look_up_said_is_named_and_not_made_up() -> None:
    assert sbom().lacks == (
        "pip 0.0: no download location",
        "abacus-wires 2.1: no download location and no digest",
        "countable 0.4.1: no download location and no digest",
    )
    told = document()
    assert package(told, "countable")["downloadLocation"] == "NOASSERTION"
    assert "checksums" not in package(told, "countable")


def test_origins_are_told_and_nothing_is_lacking_then() -> None:
    origins = {one: Origin(f"https://index.invalid/{one.name}", SHA256) for one in bundles()}
    assert sbom(origins=origins).lacks == ()
    countable = package(document(origins=origins), "countable")
    assert countable["downloadLocation"] == "https://index.invalid/countable"
    assert countable["checksums"] == [{"algorithm": "SHA256", "checksumValue": SHA256}]


def test_the_same_input_gives_the_same_bytes_in_whatever_order_it_comes() -> None:
    backwards = contents(dict(reversed(TREE.items())))
    assert sbom().text == sbom().text == sbom(backwards).text


def test_a_tree_may_name_pip_itself_as_the_first_ones_did() -> None:
    def add(told: Document) -> None:
        for name in ("pip", "vendored-once"):
            told["packages"].append(
                {**told["packages"][0], "name": name, "SPDXID": f"SPDXRef-PACKAGE-{name}"}
            )
        told["relationships"].append(
            {
                "spdxElementId": "SPDXRef-PACKAGE-pip",
                "relatedSpdxElement": "SPDXRef-PACKAGE-vendored-once",
                "relationshipType": "DEPENDS_ON",
            }
        )

    given = contents(with_tree_sbom(add))
    told = document(given)
    names = {one["name"] for one in told["packages"]}
    assert names == {"CPython", "beads", "pip", "abacus-wires", "countable"}
    assert package(told, "pip")["versionInfo"] == "0.0"
    check(json.dumps(told), given)


def test_pip_may_vendor_what_the_tree_has_in_another_version(tmp_path: Path) -> None:
    given = contents(with_wheel("pip-24.0-py3-none-any.whl", "beads==0.9\n"))
    text = sbom(given).text
    told = json.loads(text)
    assert {one["versionInfo"] for one in told["packages"] if one["name"] == "beads"} == {
        *("1.0", "0.9")
    }
    assert messages(text, tmp_path) == []
    check(text, given)


# --- ids


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=30))
def test_ids_are_valid_and_unlike_each_other_whatever_files_are_called(names: set[str]) -> None:
    ids = spdx.ids(spdx.FILE, names)
    assert len(set(ids.values())) == len(names)
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", one) for one in ids.values())


@given(st.sets(st.text(alphabet="a/_-.", min_size=1, max_size=4), max_size=60))
def test_ids_do_not_depend_on_the_order_of_names(names: set[str]) -> None:
    assert spdx.ids("", sorted(names)) == spdx.ids("", sorted(names, reverse=True))
    assert len(set(spdx.ids("", names).values())) == len(names)


def test_no_name_can_take_the_id_of_another() -> None:
    first = spdx.ids("", ["a/b", "a_b"])
    names = ["a/b", "a_b", *first.values()]
    assert len(set(spdx.ids("", names).values())) == len(names)


@given(
    st.sets(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(
            lambda x: f"Lib/{x}"
        ),
        max_size=8,
    )
)
def test_an_archive_with_odd_file_names_has_an_sbom_that_stands(names: set[str]) -> None:
    given = contents({**TREE, **{name: name.encode() for name in names}})
    check(sbom(given).text, given)


def test_a_name_that_json_cannot_have_is_refused() -> None:
    with pytest.raises(CheckError, match="SBOM_NAME"):
        sbom(contents({**TREE, "Lib/\udce4.py": b""}))


# --- a tree that does not agree with itself


def test_a_file_that_is_not_as_the_tree_says_is_refused_with_both_digests() -> None:
    with pytest.raises(
        CheckError, match=r"SBOM_MISMATCH: Modules/beads/beads.h.* is .*, stated is"
    ):
        sbom(contents({**TREE, "Modules/beads/beads.h": b"changed"}))


def test_a_file_that_the_tree_names_and_the_archive_lacks_is_refused() -> None:
    tree = {path: data for path, data in TREE.items() if path != "Modules/beads/beads.h"}
    with pytest.raises(CheckError, match=r"SBOM_MISMATCH.*does not have it; stated is"):
        sbom(contents(tree))


@pytest.mark.parametrize(
    "change",
    [
        broken("packages", None),
        broken("files", [{}]),
        broken("relationships", [1]),
        contains("SPDXRef-PACKAGE-beads", "SPDXRef-FILE-of-nobody"),
        contains("SPDXRef-PACKAGE-nobody", "SPDXRef-FILE-Modules-beads-beads.h"),
        contains("SPDXRef-PACKAGE-beads", "SPDXRef-FILE-Modules-beads-beads.h", "COPY_OF"),
        lambda told: told["packages"].append(told["packages"][0]),
        lambda told: told["files"].append(told["files"][0]),
        lambda told: told["packages"].append({**told["packages"][0], "SPDXID": "SPDXRef-other"}),
        lambda told: told["packages"][0].update(name="cpython"),
        lambda told: told["files"][0]["checksums"].pop(),
    ],
)
def test_a_tree_whose_own_sbom_cannot_be_read_is_refused(change: Change) -> None:
    with pytest.raises(CheckError, match="SBOM_TREE"):
        sbom(contents(with_tree_sbom(change)))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_tree_whose_own_sbom_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(CheckError, match="SBOM_TREE"):
        sbom(contents({**TREE, TREE_SBOM: data}))


def test_a_tree_without_an_sbom_is_refused() -> None:
    tree = {path: data for path, data in TREE.items() if path != TREE_SBOM}
    with pytest.raises(CheckError, match="SBOM_TREE"):
        sbom(contents(tree))


@pytest.mark.parametrize(
    "vendor",
    ["requests", "requests>=2", "a==1\nA==2", "a==1; os_name", "-r other.txt", "a==1\n" * 20_000],
)
def test_a_list_of_vendored_packages_that_is_no_list_of_pins_is_refused(vendor: str) -> None:
    with pytest.raises(CheckError, match="SBOM_WHEEL"):
        sbom(contents(with_wheel("pip-24.0-py3-none-any.whl", vendor)))


@pytest.mark.parametrize(
    "name", ["pip.whl", "pip-24.0.whl", "-24-py3-none-any.whl", "pip-x-a-b-c.whl"]
)
def test_a_wheel_with_another_name_is_refused(name: str) -> None:
    with pytest.raises(CheckError, match="SBOM_WHEEL"):
        sbom(contents(with_wheel(name, "")))


def test_a_wheel_that_is_none_is_refused() -> None:
    with pytest.raises(CheckError, match="SBOM_WHEEL"):
        sbom(contents({**TREE, WHEEL: b"PK\3\4 and no more"}))


@given(st.integers(0, len(TREE[WHEEL]) - 1), st.integers(0, 255))
def test_a_damaged_wheel_is_refused_or_read_and_nothing_else(at: int, byte: int) -> None:
    data = TREE[WHEEL]
    with suppress(CheckError):
        bundled(contents({WHEEL: data[:at] + bytes([byte]) + data[at + 1 :]}))


def test_comments_and_indents_of_the_vendored_list_are_read_as_pip_writes_them() -> None:
    vendor = "# all of it\nRich_Text==13.7.1 # why\n    pygments==2.17\n\nmsgpack==1.1.0\n"
    found = bundled(contents(with_wheel("pip-24.0-py3-none-any.whl", vendor)))
    assert [str(one) for one in found] == [
        *("pip 24.0", "msgpack 1.1.0", "pygments 2.17", "rich-text 13.7.1")
    ]


def test_wheels_that_vendor_nothing_are_packages_too() -> None:
    given = contents({**TREE, **with_wheel("setuptools-65.5.0-py3-none-any.whl", "", "x")})
    assert [str(one) for one in bundled(given)][-1] == "setuptools 65.5.0"
    check(sbom(given).text, given)


# --- the command


def test_the_command_writes_the_sbom_of_an_archive_at_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive(tmp_path / "a")
    assert run(path, "--offline") == 0
    written = path.with_name(f"{NAME}.spdx.json")
    told = json.loads(written.read_text())
    assert told["creationInfo"]["created"] == "2026-09-21T14:13:20Z"
    assert "Lib/link.py" not in {one["fileName"] for one in told["files"]}
    said = capsys.readouterr().out
    assert "It lacks pip 0.0: no download location\n" in said
    assert messages(written.read_text(), tmp_path) == []
    assert run(path, "--offline") == 0, "the same bytes may be there"
    assert sorted(one.name for one in path.parent.iterdir()) == [
        *(f"Python-{VERSION}.tar.xz", NAME, f"{NAME}.spdx.json")
    ]


def test_the_command_never_replaces_another_file(tmp_path: Path) -> None:
    path, out = archive(tmp_path / "a"), tmp_path / "mine"
    out.write_text("precious")
    with pytest.raises(ReleaseError, match="OUT_EXISTS"):
        run(path, "--offline", "--out", out)
    assert out.read_text() == "precious"
    out.unlink()
    out.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReleaseError, match="OUT_EXISTS"):
        run(path, "--offline", "--out", out)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "mine"]


@pytest.mark.parametrize("name", ["README", "Python-3.15.tgz", "Python-3.15.0a2.zip", "none.tgz"])
def test_what_is_not_named_as_an_archive_is_wrong_usage(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ReleaseError, match=r"NO_ARCHIVE|BAD_VERSION") as refused:
        run(tmp_path / name, "--offline")
    assert refused.value.exit_status == 2


def test_a_place_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="OUT_NOT_WRITTEN"):
        run(archive(tmp_path / "a"), "--offline", "--out", tmp_path / "none" / "x.json")


# --- a real one


@pytest.mark.slow
@pytest.mark.skipif(
    not (TARBALLS / REAL).is_file(), reason=f"RELKIT_TARBALLS names no folder with {REAL}"
)
def test_a_real_archive_has_a_valid_sbom_in_time(tmp_path: Path) -> None:
    """Debian's source package python3.13 3.13.5 has the file, as ``python3.13_3.13.5.orig``."""
    version = Version.parse("3.13.5")
    stream = unpacked(TARBALLS / REAL)
    found = [one for one in read_members(stream, f"Python-{version}") if one.kind == "file"]
    assert len(found) == 4808
    started = time.perf_counter()
    given = Contents()
    for one in found:
        given.take(one.path, one.data)
    made = source_sbom(
        given, name=REAL, sha256=SHA256, version=version, created=CREATED, origins=NO_ORIGINS
    )
    assert time.perf_counter() - started < 1.5
    check_sbom(made.text, name=REAL, sha256=SHA256, contents=given)
    assert messages(made.text, tmp_path) == []
