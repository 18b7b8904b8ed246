from __future__ import annotations

import json
import re

import pytest

from relkit.expected import SUFFIXES, folders, purged_pages, signatures
from relkit.manifest import (
    Manifest,
    absent,
    expected,
    public_paths,
    site_files,
)
from relkit.release import Release
from relkit.values import Artifact, Companion

ALPHA = Release.parse("3.15.0a1", "", "2026-05-05")
OLDER = Release.parse("3.13.0a6", "", "2024-04-09")
BUGFIX = Release.parse("3.13.13", "", "2026-04-07")
SECURITY = Release.parse("3.12.13", "", "2026-03-03")
RELEASES = [OLDER, Release.parse("3.14.0a1", "", "2024-10-15"), ALPHA, BUGFIX, SECURITY]


def subject(name: str, number: int) -> Artifact:
    return Artifact(name=name, size=1000 + number, sha256=f"{number:064x}")


def manifest_of(release: Release) -> Manifest:
    """Return the manifest of a release of which every file is signed as it should be."""
    subjects = tuple(subject(one.name, n) for n, one in enumerate(expected(release)))
    by_name = {one.name: one for one in subjects}
    return Manifest(
        version=str(release.version),
        commit="c" * 40,
        tree="d" * 40,
        tag_object="e" * 40,
        time=release.time,
        policy_digest="f" * 64,
        folder=release.folder,
        subjects=subjects,
        companions=tuple(
            Companion(
                scheme="gpg" if scheme == "gpg" else "sigstore",
                file=Artifact(name=name + SUFFIXES[scheme], size=9, sha256="a" * 64),
                subject=by_name[name],
                identity="rm@example.org",
            )
            for name, scheme in signatures(release)
        ),
        absent=absent(release),
    )


@pytest.mark.parametrize("release", RELEASES, ids=lambda one: str(one.version))
def test_each_file_for_readers_has_one_row_that_says_what_the_manifest_says(
    release: Release,
) -> None:
    manifest = manifest_of(release)
    rows = {row.url.rpartition("/")[2]: row for row in site_files(release, manifest)}
    assert set(rows) == {one.name for one in expected(release) if one.system}
    for one in [one for one in manifest.subjects if one.name in rows]:
        row = rows[one.name]
        assert (row.sha256_sum, row.filesize) == (one.sha256, one.size)
        assert row.url == f"https://www.python.org/{release.folder}/{one.name}"
        assert row.release == release.slug
        assert row.sigstore_bundle_file == f"{row.url}.sigstore"
        assert row.gpg_signature_file == (f"{row.url}.asc" if release.uses_gpg else "")
        described = f"{one.name}.spdx.json" in {file.name for file in manifest.subjects}
        assert row.sbom_spdx2_file == (f"{row.url}.spdx.json" if described else "")
        assert row.is_source == (row.os == "source")


@pytest.mark.parametrize("release", RELEASES, ids=lambda one: str(one.version))
def test_slugs_are_unique_fit_for_an_address_and_in_order(release: Release) -> None:
    slugs = [row.slug for row in site_files(release, manifest_of(release))]
    assert slugs == sorted(set(slugs))
    assert all(re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", slug) for slug in slugs)


def test_each_system_has_at_most_one_button() -> None:
    buttons = [row.os for row in site_files(ALPHA, manifest_of(ALPHA)) if row.download_button]
    assert sorted(buttons) == ["macos", "source", "windows"]


def test_a_platform_that_is_missing_by_waiver_has_no_rows() -> None:
    manifest = manifest_of(BUGFIX)
    without = tuple(one for one in manifest.subjects if not one.name.endswith(".pkg"))
    rows = site_files(BUGFIX, manifest.model_copy(update={"subjects": without}))
    assert {row.os for row in rows} == {"source", "windows"}


def test_a_row_names_only_signatures_that_were_made() -> None:
    manifest = manifest_of(OLDER).model_copy(update={"companions": ()})
    for row in site_files(OLDER, manifest):
        assert (row.gpg_signature_file, row.sigstore_bundle_file) == ("", "")


def test_source_and_windows_files_have_rows_that_lead_to_their_sboms_and_no_other_has() -> None:
    rows = site_files(BUGFIX, manifest_of(BUGFIX))
    names = {row.url.rpartition("/")[2] for row in rows if row.sbom_spdx2_file}
    windows = ("-amd64.exe", ".exe", "-arm64.exe")
    embedded = (f"-embed-{machine}.zip" for machine in ("amd64", "win32", "arm64"))
    assert names == {
        *("Python-3.13.13.tgz", "Python-3.13.13.tar.xz"),
        *(f"python-3.13.13{end}" for end in (*windows, *embedded)),
    }


def test_a_row_leads_to_no_sbom_that_is_not_published() -> None:
    manifest = manifest_of(ALPHA)
    without = tuple(one for one in manifest.subjects if not one.name.endswith(".spdx.json"))
    for row in site_files(ALPHA, manifest.model_copy(update={"subjects": without})):
        assert row.sbom_spdx2_file == ""


def test_what_is_published_is_subjects_and_companions_in_order_of_name() -> None:
    manifest = manifest_of(OLDER)
    names = [one.name for one in manifest.files]
    assert names == sorted(names)
    assert len(names) == len(expected(OLDER)) + len(signatures(OLDER))
    signed = {name for name, _ in signatures(OLDER)}
    for one in [one for one in manifest.subjects if one.name in signed]:
        found = manifest.companions_of(one)
        assert {companion.scheme for companion in found} == {"sigstore", "gpg"}
        assert {companion.subject for companion in found} == {one}


def test_a_companion_of_other_bytes_is_no_companion() -> None:
    manifest = manifest_of(ALPHA)
    other = manifest.subjects[0].model_copy(update={"sha256": "9" * 64})
    assert manifest.companions_of(other) == ()


@pytest.mark.parametrize("release", RELEASES, ids=lambda one: str(one.version))
def test_the_public_paths_are_every_file_every_folder_that_lists_it_and_the_pages(
    release: Release,
) -> None:
    """I13, I16, I28: a purge list that was not the manifest's missed files and listings."""
    manifest = manifest_of(release)
    paths = public_paths(release, manifest)
    found = folders(release)
    files = {f"/{found[one.name]}/{one.name}" for one in manifest.files}
    docs = {"/ftp/python/doc/", f"/{release.docs_folder}/"} if release.facts.docs else set()
    listings = {"/ftp/python/", f"/{release.folder}/"} | docs
    assert set(paths) == files | listings | set(purged_pages(release))
    assert len(paths) == len(set(paths))


def test_a_purge_reaches_signatures_docs_and_the_page() -> None:
    paths = public_paths(SECURITY, manifest_of(SECURITY))
    assert "/ftp/python/3.12.13/Python-3.12.13.tar.xz.sigstore" in paths
    assert "/ftp/python/3.12.13/Python-3.12.13.tar.xz.asc" in paths
    assert "/ftp/python/3.12.13/Python-3.12.13.tar.xz.spdx.json" in paths
    assert "/ftp/python/doc/3.12.13/python-3.12.13-docs-html.zip" in paths
    assert "/downloads/release/python-31213/" in paths


def test_a_manifest_is_written_as_it_is_read_and_refuses_what_it_does_not_know() -> None:
    manifest = manifest_of(ALPHA)
    text = manifest.to_text()
    assert Manifest.model_validate_json(text) == manifest
    assert Manifest.model_validate_json(text).to_text() == text
    with pytest.raises(ValueError, match="extra"):
        Manifest.model_validate({**json.loads(text), "note": "x"})


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x", "a/b", ".hidden", "-rf", "a b", "a\n", "a\0", "é", "x" * 152, "a;id", "~"],
)
def test_a_file_name_that_could_lead_elsewhere_is_no_artifact(name: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Artifact(name=name, size=1, sha256="0" * 64)


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n"])
def test_a_digest_is_64_lower_case_hexadecimal_digits(digest: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Artifact(name="a", size=1, sha256=digest)
