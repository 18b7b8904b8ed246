"""An export gives everything that is made of a source release, whole or not at all."""

from __future__ import annotations

import argparse
import errno
import hashlib
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from sources import BLURB, OLD_BLURB, TOP, VERSION, commit, git, sample

import relkit.building.compress
import relkit.building.export
import relkit.building.lane
import relkit.building.source
from relkit import cli_export
from relkit.building.archive import Form, Member, payload
from relkit.building.archives import source
from relkit.building.contents import Contents
from relkit.building.export import Exported, export
from relkit.building.job import Job
from relkit.building.objects import Objects
from relkit.building.origins import NO_ORIGINS, Origins
from relkit.building.placing import own_folder, placing
from relkit.building.provenance import COMMAND_LINE, read_provenance
from relkit.building.sbom_check import check_sbom
from relkit.building.source import blurb_command, blurb_version
from relkit.errors import CheckError, ReleaseError, UsageError, WorldError
from relkit.release import Version

ARCHIVES = (f"{TOP}.tar.xz", f"{TOP}.tgz")
MADE = (ARCHIVES[0], f"{ARCHIVES[0]}.spdx.json", ARCHIVES[1], f"{ARCHIVES[1]}.spdx.json")
BESIDE = (f"{TOP}.intoto.json", "SHA256SUMS")
TAG = f"v{VERSION}"
HIDDEN = f".{TOP}.part"


@dataclass(frozen=True)
class Source:
    """The sample repository, and the commit of its release."""

    repository: Path
    commit: str

    def export(self, folder: Path, out: Path | None = None, **given: object) -> Exported:
        """Export into ``folder/out``, by a fresh view of the objects."""
        scratch = folder / f"scratch-{len(list(folder.glob('scratch-*')))}"
        (scratch / "news").mkdir(parents=True)
        (out or folder / "out").mkdir(exist_ok=True)
        arguments: dict[str, object] = {
            "version": VERSION,
            "tar": "1.35",
            "blurb": blurb_command(BLURB),
            "work": scratch / "news",
            "out": out or folder / "out",
            "origins": lambda _: NO_ORIGINS,
        }
        objects = Objects(self.repository, scratch)
        return export(objects, self.commit, **(arguments | given))  # type: ignore[arg-type] # as the test says


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return Source(*sample(tmp_path_factory.mktemp("sample")))


@dataclass(frozen=True)
class Done:
    """An export that was made once, for all tests that only look at it."""

    exported: Exported
    out: Path
    heard: list[tuple[int, int]]
    asked: list[int]


@pytest.fixture(scope="module")
def done(released: Source, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("done")
    heard: list[tuple[int, int]] = []
    asked: list[int] = []

    def ask(seen: Contents) -> Origins:
        asked.append(len(seen.digests))
        return NO_ORIGINS

    made = released.export(folder, origins=ask, progress=lambda *both: heard.append(both))
    return Done(made, folder / "out", heard, asked)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def command(*arguments: str | Path) -> int:
    """Run the command in this process; what it refuses is raised."""
    parser = argparse.ArgumentParser()
    cli_export.declare(parser.add_subparsers(required=True))
    options = parser.parse_args([str(one) for one in arguments])
    status: int = options.command(options)
    return status


def refused(code: str, *arguments: str | Path) -> ReleaseError:
    with pytest.raises(ReleaseError) as refusal:
        command("export", *arguments)
    assert refusal.value.code == code
    return refusal.value


# --- what is made -------------------------------------------------------------------------------


def test_two_exports_give_the_same_files_and_nothing_else(
    released: Source, done: Done, tmp_path: Path
) -> None:
    again = released.export(tmp_path)
    assert [file.name for file in again.files] == list(MADE)
    assert contents(tmp_path / "out") == contents(done.out)
    assert sorted(contents(tmp_path / "out")) == sorted(MADE)
    assert again == done.exported


def test_what_it_says_of_the_files_is_what_lies_there(done: Done) -> None:
    made = done.exported
    for file in made.files:
        data = (done.out / file.name).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert made.report.payload_sha256 == made.payload.sha256
    assert (made.report.generated, made.report.unexplained) == (("Misc/NEWS",), ())
    assert made.compared["compared"] == made.report.equal + made.report.by_eol + 1


def test_each_archive_has_an_sbom_of_its_own(done: Done) -> None:
    seen = Contents()
    with tarfile.open(done.out / ARCHIVES[1]) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None and not member.issym():
                seen.take(member.name.removeprefix(f"{TOP}/"), file.read())
    digests = {file.name: file.sha256 for file in done.exported.files}
    for name in ARCHIVES:
        text = (done.out / f"{name}.spdx.json").read_text()
        check_sbom(text, name=name, sha256=digests[name], contents=seen)
    assert done.exported.lacks


def test_origins_are_asked_for_once_with_all_files(done: Done) -> None:
    assert done.asked == [done.exported.report.files]


def test_before_3_12_there_is_no_sbom(tmp_path: Path) -> None:
    files = {"README.rst": b"x\n", "Misc/sbom.spdx.json": b"{}"}
    old = Source(tmp_path / "old.git", commit(tmp_path / "old.git", files, modes={}))
    made = old.export(tmp_path, version=Version.parse("3.11.9"))
    assert [file.name for file in made.files] == ["Python-3.11.9.tar.xz", "Python-3.11.9.tgz"]
    assert (made.lacks, "blurb" in made.facts) == ((), False)


def test_a_tree_with_its_news_made_needs_no_blurb(tmp_path: Path) -> None:
    files = {"README.rst": b"x\n", "Misc/NEWS": b"as it was published\n"}
    unpacked = Source(tmp_path / "one.git", commit(tmp_path / "one.git", files, modes={}))
    made = unpacked.export(tmp_path, blurb=("false",))
    assert (made.report.generated, made.report.files) == ((), 2)
    assert [file.name for file in made.files] == list(ARCHIVES)


def test_progress_ends_with_the_whole(done: Done) -> None:
    taken = [so_far for so_far, _ in done.heard]
    assert taken == sorted(taken)
    assert all(so_far <= whole for so_far, whole in done.heard)
    assert taken[-1] == done.exported.payload.size


def test_the_tools_are_named_with_their_versions(done: Done) -> None:
    facts = done.exported.facts
    assert re.fullmatch(r"git version 2\..+", str(facts["git"]))
    assert str(facts["gzip"]).startswith("gzip 1.")
    assert re.fullmatch(r"5\.[0-9]+\.[0-9]+", str(facts["liblzma"]))
    assert (facts["blurb"], facts["tar"]) == ("2.3.0", "1.35")
    assert blurb_version(blurb_command(OLD_BLURB)) == "1.1.0"


def test_an_archive_that_is_not_the_commit_is_never_placed(
    released: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(members: Iterator[Member], form: Form) -> Iterator[bytes]:
        return (
            piece.replace(b"This is Python", b"This is Pyth0n") for piece in payload(members, form)
        )

    monkeypatch.setattr(relkit.building.source, "payload", damaged)
    with pytest.raises(CheckError) as refusal:
        released.export(tmp_path)
    assert refusal.value.code == "TREE_MISMATCH"
    assert contents(tmp_path / "out") == {}


def test_archives_that_differ_are_never_placed(
    released: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = relkit.building.compress.XZ_PROGRAM.replace("(piece)", "(piece.replace(b'T', b't'))")
    monkeypatch.setattr(relkit.building.compress, "XZ", (sys.executable, "-I", "-c", program))
    monkeypatch.setattr(relkit.building.export, "check_compressors", lambda: None)
    with pytest.raises(CheckError) as refusal:
        released.export(tmp_path)
    assert refusal.value.code == "ARCHIVES_DIFFER"
    assert contents(tmp_path / "out") == {}


def test_compressors_with_other_bytes_are_refused_before_anything(
    released: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = relkit.building.compress.XZ_PROGRAM.replace("preset=6", "preset=5")
    monkeypatch.setattr(relkit.building.compress, "XZ", (sys.executable, "-I", "-c", program))
    with pytest.raises(CheckError) as refusal:
        released.export(tmp_path)
    assert refusal.value.code == "TOOL_DRIFT"
    assert contents(tmp_path / "out") == {}


def test_an_index_that_fails_ends_the_export(released: Source, tmp_path: Path) -> None:
    def ask(_: Contents) -> Origins:
        raise WorldError("no answer", code="INDEX_FAILED", remedy="Try again.")

    with pytest.raises(WorldError, match="INDEX_FAILED"):
        released.export(tmp_path, origins=ask)
    assert contents(tmp_path / "out") == {}


def test_a_full_disk_is_said_so(
    released: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(relkit.building.lane._Output, "write", write)
    with pytest.raises(WorldError, match=r"EXPORT_FAILED.*No space left"):
        released.export(tmp_path)
    assert contents(tmp_path / "out") == {}


# --- the build ----------------------------------------------------------------------------------


def job(released: Source, folder: Path, **options: str) -> Job:
    for name in "out", "work":
        (folder / name).mkdir()
    return Job(
        folder=folder,
        name="source",
        version=VERSION,
        commit=released.commit,
        inputs=(),
        options=options,
        repository=released.repository,
        artifacts=folder,
        blurb=BLURB,
        site=folder / "site.url",
        index="",
        packages=folder / "packages",
    )


def test_the_build_delivers_what_an_export_makes(
    released: Source, done: Done, tmp_path: Path
) -> None:
    build = job(released, tmp_path)
    source(build)
    made = done.exported
    assert contents(build.out) == contents(done.out)
    assert made.facts.items() <= build.facts.items()
    assert build.facts["sbom_lacks"] == made.lacks
    assert (build.facts["commit"], build.facts["version"]) == (released.commit, str(VERSION))
    assert (build.facts["payload_sha256"], build.facts["unexplained"]) == (made.payload.sha256, 0)
    assert (tmp_path / "part").read_text() == "archives 100 %"  # for whoever looks at it
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "part", "work"]


def test_the_build_knows_two_forms_of_tar(released: Source, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="TAR_FORM"):
        source(job(released, tmp_path, tar="1.33"))


# --- results that are there ---------------------------------------------------------------------


def test_equal_results_are_left_alone(released: Source, tmp_path: Path) -> None:
    released.export(tmp_path)
    before = {path.name: path.stat() for path in (tmp_path / "out").iterdir()}
    again = released.export(tmp_path)
    after = {path.name: path.stat() for path in (tmp_path / "out").iterdir()}
    assert again.kept == MADE
    assert [one.st_ino for one in before.values()] == [one.st_ino for one in after.values()]
    assert [one.st_mtime_ns for one in before.values()] == [
        one.st_mtime_ns for one in after.values()
    ]


def test_what_is_missing_is_added(released: Source, done: Done, tmp_path: Path) -> None:
    shutil.copytree(done.out, tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / ARCHIVES[0]).unlink()
    assert released.export(tmp_path).kept == (MADE[1], *MADE[2:])
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("name", MADE[:2])
def test_other_results_are_never_replaced(released: Source, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(b"somebody's own")
    with pytest.raises(CheckError) as refusal:
        released.export(tmp_path)
    assert refusal.value.code == "WOULD_OVERWRITE"
    assert contents(tmp_path / "out") == {name: b"somebody's own"}


def test_a_link_in_the_place_of_a_result_is_not_followed(
    released: Source, done: Done, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ARCHIVES[1]).symlink_to(done.out / ARCHIVES[1])
    with pytest.raises(CheckError, match="WOULD_OVERWRITE"):
        released.export(tmp_path)
    assert (tmp_path / "out" / ARCHIVES[1]).is_symlink()


def test_what_appears_while_results_get_their_names_is_not_replaced(tmp_path: Path) -> None:
    with placing(tmp_path, "x") as place:
        place.write("a", "ours")
        place.write("b", "ours")
        place._appear("a")
        (tmp_path / "b").write_text("theirs")
        with pytest.raises(CheckError, match="WOULD_OVERWRITE"):
            place._appear("b")
    assert contents(tmp_path) == {"a": b"ours", "b": b"theirs"}


def test_a_file_system_without_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with placing(tmp_path, "x") as place:
        place.write("a", "ours")
        assert place.finish(["a"]) == ()
    assert contents(tmp_path) == {"a": b"ours"}


# --- killed, or at work -------------------------------------------------------------------------


def test_leftovers_of_a_killed_export_are_removed(released: Source, tmp_path: Path) -> None:
    hidden = tmp_path / "out" / HIDDEN
    (hidden / "folder").mkdir(parents=True)
    (hidden / "folder" / "file").write_bytes(b"half")
    (hidden / ARCHIVES[0]).write_bytes(b"half")
    (hidden / "link").symlink_to(tmp_path)
    released.export(tmp_path)
    assert sorted(contents(tmp_path / "out")) == sorted(MADE)


def test_an_export_that_is_killed_leaves_no_result_and_the_next_one_ends_equal(
    released: Source, done: Done, tmp_path: Path
) -> None:
    script = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_export import Source\n"
        "def kill(done, whole): os.kill(os.getpid(), signal.SIGKILL)\n"
        "Source(Path(sys.argv[2]), sys.argv[3]).export(Path(sys.argv[4]), progress=kill)\n"
    )
    arguments = [Path(__file__).parent, released.repository, released.commit, tmp_path]
    killed = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], check=False, timeout=60
    )
    assert killed.returncode == -9
    assert [path.name for path in (tmp_path / "out").iterdir()] == [HIDDEN]
    released.export(tmp_path)
    assert contents(tmp_path / "out") == contents(done.out)


def test_two_exports_into_one_folder_do_not_meet(released: Source, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with own_folder(tmp_path / "out" / HIDDEN), pytest.raises(CheckError) as refusal:
        released.export(tmp_path)
    assert refusal.value.code == "EXPORT_RUNNING"
    assert contents(tmp_path / "out") == {}


def test_a_folder_of_its_own_is_empty_and_gone_afterwards(tmp_path: Path) -> None:
    with own_folder(tmp_path / "one") as folder:
        (folder / "file").touch()
    assert not (tmp_path / "one").exists()
    with pytest.raises(KeyError), own_folder(tmp_path / "one") as folder:
        raise KeyError
    assert not (tmp_path / "one").exists()


def test_what_is_no_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("somebody's own")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in "file", "link", "not there/x":
        with pytest.raises(WorldError, match="BAD_FOLDER"), own_folder(tmp_path / name):
            pass
    assert (tmp_path / "file").read_text() == "somebody's own"


# --- the command --------------------------------------------------------------------------------


def test_the_command_writes_checksums_and_provenance_beside(
    released: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    assert command("export", TAG, "--repo", released.repository, "--out", out, "--offline") == 0
    assert sorted(contents(out)) == sorted([*MADE, *BESIDE])
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out, check=True
    )
    assert len((out / "SHA256SUMS").read_text().splitlines()) == len(MADE) + 1
    said = capsys.readouterr()
    assert said.err == ""
    for name in MADE:
        data = (out / name).read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        assert re.search(rf"^{re.escape(name)} +{len(data):,}  {sha256}$", said.out, re.MULTILINE)
    assert f"{TAG}, commit {released.commit}" in said.out
    assert "form of GNU tar 1.35 (as in official files), blurb 2.3.0 (for 3.15)" in said.out
    assert "0 differences unexplained" in said.out
    assert "The SBOMs lack: pip" in said.out
    assert "Already there" not in said.out


def test_the_command_again_says_that_all_is_there(
    released: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("export", TAG, "--repo", released.repository, "--out", tmp_path, "--offline")
    assert command(*given) == 0
    before = contents(tmp_path)
    assert command(*given) == 0
    assert f"with the same bytes: {', '.join([*MADE, *BESIDE])}" in capsys.readouterr().out
    assert contents(tmp_path) == before


def test_its_provenance_is_of_these_files_and_this_commit(released: Source, tmp_path: Path) -> None:
    command("export", TAG, "--repo", released.repository, "--out", tmp_path, "--offline")
    found = read_provenance((tmp_path / BESIDE[0]).read_text())
    assert [one.name for one in found.subjects] == sorted(MADE)
    assert (found.commit, found.version) == (released.commit, str(VERSION))
    assert found.options == {"tag": TAG, "tar": "1.35"}
    assert found.builder == COMMAND_LINE
    assert {"git", "gzip", "liblzma", "blurb", "python"} <= {*found.tools, *found.platform}


def test_a_light_tag_will_do_and_a_commit_with_its_version(
    released: Source, tmp_path: Path
) -> None:
    light = tmp_path / "light.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(released.repository), str(light))
    git(light, "update-ref", f"refs/tags/{TAG}", released.commit)
    options = ("--offline", "--out")
    command("export", TAG, "--repo", light, *options, tmp_path / "a")
    by_commit = (released.commit, "--version", str(VERSION))
    command("export", *by_commit, "--repo", released.repository, *options, tmp_path / "b")
    one, other = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert {name: one[name] for name in MADE} == {name: other[name] for name in MADE}


def test_a_form_and_a_blurb_that_are_asked_for_are_taken(
    released: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (TAG, "--repo", released.repository, "--out", tmp_path, "--offline")
    command("export", *given, "--tar", "1.34", "--blurb", "2.3.0")
    assert "GNU tar 1.34 (as asked), blurb 2.3.0 (as asked)" in capsys.readouterr().out
    refused("BLURB_MISSING", *given, "--blurb", "0.0.1")


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2022-10-24", ("1.34", "a guess by the commit's day, 2022-10-24")),
        ("2023-10-13", ("1.34", "as in official files")),
        ("2024-03-12", ("1.34", "as in official files")),
        ("2024-10-07", ("1.34", "a guess by the commit's day, 2024-10-07")),
        ("2025-04-08", ("1.35", "a guess by the commit's day, 2025-04-08")),
        ("2025-06-12", ("1.35", "as in official files")),
        ("2026-05-05", ("1.35", "as in official files")),
    ],
)
def test_the_form_follows_the_day_of_the_commit(day: str, expected: tuple[str, str]) -> None:
    options = argparse.Namespace(tar="", blurb="")
    time = int(datetime.fromisoformat(f"{day}T12:00:00Z").timestamp())
    tar, blurb = cli_export._settings(options, Version.parse("3.13.5"), time)
    assert tar == expected
    assert blurb == ("1.1.0", "for 3.13")


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        ("TAG_UNKNOWN", "v3.15.0a9"),
        ("TAG_UNKNOWN", "main"),
        ("TAG_UNKNOWN", "HEAD"),
        ("TAG_UNKNOWN", "3.15.0a2"),
        ("TAG_UNKNOWN", "076d169ebb"),
        ("TAG_UNKNOWN", ""),
        ("BAD_VERSION", "v"),
        ("BAD_VERSION", "v3.15.0a2\n"),
        ("BAD_VERSION", "v3.15.0a2^{}"),
        ("BAD_VERSION", "v3.15"),
        ("BAD_VERSION", "v../../HEAD"),
        ("BAD_VERSION", "0" * 40),
    ],
)
def test_what_is_no_tag_of_a_release_is_wrong_usage(
    released: Source, tmp_path: Path, code: str, tag: str
) -> None:
    given = ("--repo", released.repository, "--out", tmp_path / "out", "--offline")
    assert isinstance(refused(code, tag, *given), UsageError)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("TAG_UNKNOWN", ("0" * 40, "--version", "3.15.0a2")),
        ("BAD_VERSION", (TAG, "--version", "3.15.0a1")),
        ("BAD_VERSION", (TAG, "--version", "3.15")),
        ("NO_REPOSITORY", (TAG, "--repo", "/dev")),
        ("NO_REPOSITORY", (TAG, "--repo", "/not there")),
        ("BAD_FOLDER", (TAG, "--out", "/dev/null/x")),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_made(
    released: Source, tmp_path: Path, code: str, arguments: tuple[str, ...]
) -> None:
    given = ("--repo", released.repository, "--out", tmp_path / "out", "--offline")
    assert isinstance(refused(code, *given, *arguments), UsageError)
    assert not (tmp_path / "out").exists()


def test_a_commit_of_another_version_is_refused(released: Source, tmp_path: Path) -> None:
    given = ("--repo", released.repository, "--out", tmp_path / "out", "--offline")
    refusal = refused("VERSION_CONFLICT", *given, released.commit, "--version", "3.15.0a1")
    assert "says 3.15.0a2, not 3.15.0a1" in str(refusal)


def test_the_tag_of_another_name_is_refused(released: Source, tmp_path: Path) -> None:
    moved = tmp_path / "moved.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(released.repository), str(moved))
    git(moved, "update-ref", "refs/tags/v3.15.0a7", git(moved, "rev-parse", f"refs/tags/{TAG}"))
    refused("TAG_NAME_MISMATCH", "v3.15.0a7", "--repo", moved, "--out", tmp_path / "o", "--offline")


def test_a_tag_of_no_commit_is_refused(released: Source, tmp_path: Path) -> None:
    odd = tmp_path / "odd.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(released.repository), str(odd))
    git(odd, "update-ref", "refs/tags/v3.15.0a7", git(odd, "rev-parse", f"{TAG}:README.rst"))
    refused("TAG_UNKNOWN", "v3.15.0a7", "--repo", odd, "--out", tmp_path / "o", "--offline")


def test_a_folder_of_another_release_is_refused_at_once(released: Source, tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  Python-3.15.0a1.tgz\n")
    given = (TAG, "--repo", released.repository, "--out", tmp_path, "--offline")
    assert "lists what is no part of 3.15.0a2" in str(refused("WOULD_OVERWRITE", *given))
    assert [*contents(tmp_path)] == ["SHA256SUMS"]


def test_the_bar_is_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, shown in (io.StringIO(), False), (Terminal(), True):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(cli_export, "PAUSE_SECONDS", 0.0)
        with cli_export.bar() as progress:
            progress(25_000_000, 100_000_000)
        assert (" 25 %, 25 of 100 MB, 0 s left" in stream.getvalue()) is shown
        assert bool(stream.getvalue()) is shown


# --- true releases ------------------------------------------------------------------------------

slow = pytest.mark.slow
HISTORY = os.environ.get("RELKIT_CPYTHON", "")
TARBALLS = Path(os.environ.get("RELKIT_TARBALLS", "/nonexistent"))
ALPHAS = {
    "3.13.0a1": (
        "ad056f03aee8000a1564a1d17f655f8713c48e48",
        "f0281bf22cc00414361c14fc9197183e7eb2eabb729656b69442224fbb63eecb",
        "fb1674c6317651bc9c1dfeb6339cd706b84c95f8e614f395d2ffb0af19bbe885",
    ),
    "3.13.0a2": (
        "9c4347ef8b60f54dd357fd6b2f5ca9edc5105e2a",
        "b6d46b44190c4c02421eb69a042d16b0c55481bdda818c6c416dc244113a9c2d",
        "9a3c363589ec882f2d1ff008f29f66231ccb552366dd9d8041a65c7e799cbafd",
    ),
    "3.13.0a3": (
        "f009305a7d635f86440c804a2916f8fa4d7fc637",
        "20784c8304eb1c69c80f966ebdf0775be2e37e23df3b62461eec12a85dcf7ead",
        "9c7c2b42a20127816f9403723bfc88d1566f47dac0c46f50492f7ff8db646d8f",
    ),
    "3.13.0a4": (
        "9d34f60783b726de5bb0352d0efb1cbd23a4ac89",
        "bcbd6daae3de381d64a84e9ac50889dce71c5fdff2b680b676537b09907425f6",
        "84c086d639f8ccf11aedf491c0dbc5cff8383641d0828cd8333ca491b16e42e2",
    ),
    "3.13.0a5": (
        "076d169ebbe59f7035eaa28d33d517bcb375f342",
        "1e89b5355183e7c898a5a01b2f601728fe49fdb89d9c9781f13360847aaefa62",
        "672dc36e775e0775a15042ce7f9959986745fa44be7519b8847b26da0022e3fa",
    ),
}
"""Releases: commit, and SHA-256 of the ``.tar.xz`` and the ``.tgz`` of python.org."""
UNPACKED = "Python-3.13.5.tar.xz"


@slow
@pytest.mark.skipif(not HISTORY, reason="RELKIT_CPYTHON names no repository with CPython's history")
@pytest.mark.parametrize("version", ALPHAS)
def test_official_alphas_come_out_with_nothing_said_but_the_tag(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit, xz, tgz = ALPHAS[version]
    repository = tmp_path / "cpython.git"
    git(tmp_path, "init", "--quiet", "--bare", str(repository))
    objects = Path(HISTORY, git(Path(HISTORY), "rev-parse", "--git-path", "objects"))
    (repository / "objects/info/alternates").write_text(f"{objects.resolve()}\n")
    who = ("-c", "user.name=A", "-c", "user.email=a@b.invalid")
    git(repository, *who, "tag", "--annotate", f"--message={version}", f"v{version}", commit)
    out = tmp_path / "out"
    command("export", f"v{version}", "--repo", repository, "--out", out, "--offline")
    assert (sha256(out / f"Python-{version}.tar.xz"), sha256(out / f"Python-{version}.tgz")) == (
        xz,
        tgz,
    )
    assert "0 differences unexplained" in capsys.readouterr().out


@slow
@pytest.mark.skipif(
    not (TARBALLS / UNPACKED).is_file(), reason=f"RELKIT_TARBALLS names no folder with {UNPACKED}"
)
def test_3_13_5_comes_out_of_what_it_unpacks_to(tmp_path: Path) -> None:
    """Debian's source package python3.13 3.13.5 has the file, as ``python3.13_3.13.5.orig``."""
    repository = tmp_path / "unpacked.git"
    payload = from_tarball(TARBALLS / UNPACKED, repository)
    out = tmp_path / "out"
    command("export", "v3.13.5", "--repo", repository, "--out", out, "--offline")
    with lzma.open(out / UNPACKED) as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == payload
    assert sha256(out / UNPACKED) == (
        "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640"
    )
    assert sha256(out / "Python-3.13.5.tgz") == (
        "e6190f52699b534ee203d9f417bdbca05a92f23e35c19c691a50ed2942835385"
    )


def from_tarball(archive: Path, repository: Path) -> str:
    """Commit and tag what an archive unpacks to, at its time; return the SHA-256 of its tar."""
    repository.mkdir()
    git(repository, "init", "--quiet", "--bare", "--initial-branch=main")
    data = lzma.decompress(archive.read_bytes())
    stream = bytearray()
    with tarfile.open(fileobj=io.BytesIO(data)) as members:
        top = members.next()
        assert top is not None
        stream += b"commit refs/heads/main\ncommitter A <a@b.invalid> %d +0000\n" % top.mtime
        stream += b"data 0\n"
        for member in members:
            if (file := members.extractfile(member)) is not None:
                mode = b"100755" if member.mode & 0o100 else b"100644"
                path = member.name.removeprefix(f"{top.name}/").encode()
                stream += b'M %s inline "%s"\ndata %d\n' % (mode, path, member.size)
                stream += file.read() + b"\n"
    git(repository, "fast-import", "--quiet", given=bytes(stream))
    git(repository, "update-ref", "refs/tags/v3.13.5", "refs/heads/main")
    return hashlib.sha256(data).hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
