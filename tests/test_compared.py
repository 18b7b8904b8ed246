"""The build that compares says how many SBOMs are those of their archives, or why it stops."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mutants import Good, good
from sources import BLURB, TOP, VERSION

from relkit.building.compared import compared
from relkit.building.compress import pack
from relkit.building.contents import Contents
from relkit.building.job import Input, Job
from relkit.building.origins import NO_ORIGINS
from relkit.building.sbom import sbom_name, source_sbom
from relkit.errors import CheckError

TGZ, XZ = f"{TOP}.tgz", f"{TOP}.tar.xz"


def described(path: Path) -> Input:
    data = path.read_bytes()
    return Input(path.name, len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture(scope="module")
def true(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return good(tmp_path_factory.mktemp("true"))


@pytest.fixture(scope="module")
def collected(true: Good, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collect both archives and both SBOMs, as the build delivers them."""
    folder = tmp_path_factory.mktemp("collected")
    contents = Contents()
    for member in true.members:
        contents.take(member.path, member.data)
    for file in pack([true.tar], tgz=folder / TGZ, xz=folder / XZ)[:2]:
        sbom = source_sbom(
            contents,
            name=file.name,
            sha256=file.sha256,
            version=VERSION,
            created=true.mtime,
            origins=NO_ORIGINS,
        )
        (folder / sbom_name(file.name)).write_text(sbom.text, encoding="utf-8")
    return folder


@pytest.fixture
def compare(true: Good, collected: Path, tmp_path: Path) -> Callable[..., Job]:
    """Do the build with these files, copied; return it with its facts."""
    artifacts = shutil.copytree(collected, tmp_path / "artifacts")

    def done(*names: str, change: Callable[[Path], object] = lambda _: None) -> Job:
        change(artifacts)
        job = Job(
            folder=tmp_path,
            name="compare",
            version=VERSION,
            commit=true.commit,
            inputs=tuple(described(artifacts / name) for name in names),
            options={},
            repository=true.repository,
            artifacts=artifacts,
            blurb=BLURB,
            site=tmp_path / "site",
            index="",
            packages=tmp_path / "packages",
        )
        compared(job)
        return job

    return done


def test_both_sboms_are_held_against_their_archives(compare: Callable[..., Job]) -> None:
    facts = compare(TGZ, XZ, sbom_name(TGZ), sbom_name(XZ)).facts
    assert (facts["sboms"], facts["unexplained"]) == ("2 equal", 0)


def test_what_was_not_given_is_not_counted(compare: Callable[..., Job]) -> None:
    assert compare(TGZ, XZ).facts["sboms"] == "0 equal"


def test_the_sbom_of_the_other_archive_is_refused(compare: Callable[..., Job]) -> None:
    def swap(folder: Path) -> None:
        shutil.copyfile(folder / sbom_name(TGZ), folder / sbom_name(XZ))

    with pytest.raises(CheckError, match=r"SBOM_(SUBJECT|INVALID)"):
        compare(TGZ, XZ, sbom_name(TGZ), sbom_name(XZ), change=swap)


def test_an_sbom_that_lists_another_file_is_refused(
    compare: Callable[..., Job], true: Good
) -> None:
    digest = hashlib.sha256(true.data("README.rst")).hexdigest()

    def change(folder: Path) -> None:
        path = folder / sbom_name(XZ)
        text = path.read_text(encoding="utf-8")
        assert digest in text
        path.write_text(text.replace(digest, "0" * 64), encoding="utf-8")

    with pytest.raises(CheckError, match="SBOM_FILES"):
        compare(TGZ, XZ, sbom_name(XZ), change=change)
