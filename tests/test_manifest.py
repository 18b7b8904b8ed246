from __future__ import annotations

import json
import re

import pytest

from relkit.manifest import (
    Manifest,
    absent,
    expected,
    expected_of,
    public_paths,
    schemes,
    site_files,
)
from relkit.release import Release
from relkit.values import Artifact, Companion

ALPHA = Release.parse("3.15.0a1", "", "2026-05-05")
OLDER = Release.parse("3.13.0a6", "", "2024-04-09")
RELEASES = [OLDER, Release.parse("3.14.0a1", "", "2024-10-15"), ALPHA]


def subject(name: str, number: int) -> Artifact:
    return Artifact(name=name, size=1000 + number, sha256=f"{number:064x}")


def manifest_of(release: Release) -> Manifest:
    """Return the manifest of a release of which every file is signed as it should be."""
    subjects = tuple(subject(one.name, n) for n, one in enumerate(expected(release)))
    suffixes = {"sigstore": ".sigstore", "gpg": ".asc"}
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
                file=Artifact(name=one.name + suffixes[scheme], size=9, sha256="a" * 64),
                subject=one,
                identity="rm@example.org",
            )
            for one in subjects
            for scheme in schemes(release)
        ),
        absent=absent(release),
    )


def test_the_expected_set_of_an_alpha_is_closed_and_exact() -> None:
    assert [one.name for one in expected(ALPHA)] == [
        "Python-3.15.0a1.tgz",
        "Python-3.15.0a1.tar.xz",
        "python-3.15.0a1-amd64.exe",
        "python-3.15.0a1.exe",
        "python-3.15.0a1-arm64.exe",
        "python-3.15.0a1-embed-amd64.zip",
        "python-3.15.0a1-embed-win32.zip",
        "python-3.15.0a1-embed-arm64.zip",
        "python-3.15.0a1-macos11.pkg",
        "python-3.15.0a1-aarch64-linux-android.tar.gz",
        "python-3.15.0a1-x86_64-linux-android.tar.gz",
        "python-3.15.0a1-iOS-XCframework.tar.gz",
    ]


@pytest.mark.parametrize("release", RELEASES, ids=lambda one: str(one.version))
def test_every_file_is_named_once_and_delivered_by_one_build(release: Release) -> None:
    names = [one.name for one in expected(release)]
    assert len({name.lower() for name in names}) == len(names)
    builds = ("source", *release.platforms)
    assert [one for build in builds for one in expected_of(release, build)] == list(
        expected(release)
    )
    assert all(expected_of(release, build) for build in builds)
    assert expected_of(release, "solaris") == ()
    assert all(str(release.version) in name for name in names)


def test_before_3_14_there_are_gpg_signatures_and_no_mobile_platforms() -> None:
    assert schemes(OLDER) == ("sigstore", "gpg")
    assert schemes(ALPHA) == ("sigstore",)
    assert len(expected(OLDER)) == 9
    assert set(absent(OLDER)) == {"sbom"}
    assert set(absent(ALPHA)) == {"sbom", "gpg"}
    assert all(absent(ALPHA).values()), "what is absent says why"


@pytest.mark.parametrize("release", RELEASES, ids=lambda one: str(one.version))
def test_each_subject_has_one_row_on_the_site_that_says_what_the_manifest_says(
    release: Release,
) -> None:
    manifest = manifest_of(release)
    rows = {row.url.rpartition("/")[2]: row for row in site_files(release, manifest)}
    assert set(rows) == {one.name for one in manifest.subjects}
    for one in manifest.subjects:
        row = rows[one.name]
        assert (row.sha256_sum, row.filesize) == (one.sha256, one.size)
        assert row.url == f"https://www.python.org/{release.folder}/{one.name}"
        assert row.release == release.slug
        assert row.sigstore_bundle_file == f"{row.url}.sigstore"
        assert row.gpg_signature_file == (f"{row.url}.asc" if release.uses_gpg else "")
        assert row.sbom_spdx2_file == ""
        assert row.is_source == (row.os == "source")


@pytest.mark.parametrize("release", RELEASES, ids=lambda one: str(one.version))
def test_slugs_are_unique_fit_for_an_address_and_in_order(release: Release) -> None:
    slugs = [row.slug for row in site_files(release, manifest_of(release))]
    assert slugs == sorted(set(slugs))
    assert all(re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", slug) for slug in slugs)


def test_each_system_has_at_most_one_button() -> None:
    buttons = [row.os for row in site_files(ALPHA, manifest_of(ALPHA)) if row.download_button]
    assert sorted(buttons) == ["macos", "source", "windows"]


def test_a_row_names_only_signatures_that_were_made() -> None:
    manifest = manifest_of(OLDER).model_copy(update={"companions": ()})
    for row in site_files(OLDER, manifest):
        assert (row.gpg_signature_file, row.sigstore_bundle_file) == ("", "")


def test_what_is_published_is_subjects_and_companions_in_order_of_name() -> None:
    manifest = manifest_of(OLDER)
    names = [one.name for one in manifest.files]
    assert names == sorted(names)
    assert len(names) == 3 * len(expected(OLDER))
    for one in manifest.subjects:
        found = manifest.companions_of(one)
        assert {companion.scheme for companion in found} == {"sigstore", "gpg"}
        assert {companion.subject for companion in found} == {one}


def test_a_companion_of_other_bytes_is_no_companion() -> None:
    manifest = manifest_of(ALPHA)
    other = manifest.subjects[0].model_copy(update={"sha256": "9" * 64})
    assert manifest.companions_of(other) == ()


def test_the_public_paths_are_every_file_the_folder_and_the_pages() -> None:
    manifest = manifest_of(ALPHA)
    paths = public_paths(ALPHA, manifest)
    assert len(paths) == len(manifest.files) + 3
    assert "/ftp/python/3.15.0/Python-3.15.0a1.tar.xz.sigstore" in paths
    assert paths[-3:] == (
        "/ftp/python/3.15.0/",
        "/downloads/release/python-3150a1/",
        "/downloads/",
    )


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
