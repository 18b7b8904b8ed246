"""A second person finds out alone what holds of source archives, level by level, and no more."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mutants import Good, good, threaded
from sources import BLURB, OLD_BLURB, TOP, VERSION, git

import relkit.building.compress
import relkit.building.source
from relkit import cli, cli_verify
from relkit.building.again import News
from relkit.building.archive import REMOVED, Form, payload, removals
from relkit.building.compress import pack
from relkit.building.objects import Objects
from relkit.building.statement import Statement, read_statement
from relkit.building.verdict import PREDICATE_TYPE
from relkit.building.verify import Asked, Verified, verify
from relkit.release import Version

TAG = f"v{VERSION}"


@dataclass
class Second:
    """A second person: the archives as published, a clone, and a terminal."""

    good: Good
    folder: Path
    capsys: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""
    archives: list[Path] = field(default_factory=list)

    def verify(self, *more: str | Path, repo: Path | None = None, tag: str = TAG) -> int:
        """Run the command; return its status."""
        words = [*self.archives, "--repo", repo or self.good.repository, "--tag", tag, *more]
        status = cli.main(["verify", "source", *map(str, words)])
        self.out, self.err = self.capsys.readouterr()
        return status

    def verdicts(self) -> list[str]:
        """Return what is said of each level."""
        lines = [line for line in self.out.splitlines() if line.startswith(LEVELS)]
        return [line.partition("  ")[2][:13].strip() for line in lines]

    def statement(self) -> Statement:
        """Verify once more, and read the statement about it."""
        path = self.folder / "statement.json"
        assert self.verify("--statement", path) == cli_verify.VERIFIED
        return read_statement(path.read_text(encoding="utf-8"), predicate_type=PREDICATE_TYPE)


LEVELS = ("CONTENT ", "PAYLOAD ", "BITWISE ")


@pytest.fixture(scope="module")
def true(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return good(tmp_path_factory.mktemp("true"))


@pytest.fixture(scope="module")
def published(true: Good, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("published")
    paths = [folder / f"{TOP}.tgz", folder / f"{TOP}.tar.xz"]
    pack([true.tar], tgz=paths[0], xz=paths[1])
    return paths


@pytest.fixture
def second(
    true: Good, published: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Second:
    return Second(true, tmp_path, capsys, archives=published)


def test_what_was_published_is_equal_at_every_level(second: Second) -> None:
    assert second.verify("--level", "bitwise") == cli_verify.VERIFIED
    assert second.verdicts() == ["equal", "equal", "equal"]
    assert "VERIFIED: bitwise equal" in second.out
    assert "headers of GNU tar 1.35" in second.out
    assert "Misc/NEWS as blurb 2.3.0 makes it" in second.out


def test_by_default_nothing_is_compressed_and_nobody_claims_it_was(second: Second) -> None:
    assert second.verify() == cli_verify.VERIFIED
    assert second.verdicts() == ["equal", "equal", "not tried"]


def test_each_difference_that_is_allowed_is_counted_with_its_reason(second: Second) -> None:
    assert second.verify("--level", "content") == cli_verify.VERIFIED
    assert second.verdicts() == ["equal", "not tried", "not tried"]
    assert "Misc/NEWS.d: 6 files left out (what Misc/NEWS is made of)" in second.out
    assert "line ends: 2 files (.gitattributes of the tag asks for CRLF)" in second.out
    assert "Misc/NEWS: made of Misc/NEWS.d by blurb 2.3.0" in second.out


def test_what_nobody_looked_at_is_said(second: Second) -> None:
    second.verify()
    assert "Not checked:\n  the signature of the tag" in second.out
    assert "tagger, as the tag says, not verified: " in second.out
    found = git(second.good.repository, "rev-parse", f"refs/tags/{TAG}")
    assert f"annotated, object {found}" in second.out


def test_archives_with_the_other_headers_are_payload_equal_and_the_form_is_named(
    second: Second,
) -> None:
    tar = b"".join(payload(second.good.members, Form(TOP, second.good.mtime, "1.34")))
    second.archives = [second.folder / f"{TOP}.tgz"]
    second.archives[0].write_bytes(gzip.compress(tar))
    assert second.verify() == cli_verify.VERIFIED
    assert "headers of GNU tar 1.34" in second.out
    assert second.verify("--tar", "1.35") == cli_verify.REFUSED
    assert "PAYLOAD_DIFFERS" in second.err


def test_a_rebuild_with_threaded_xz_is_not_green(second: Second) -> None:
    """What users unpack is the same; the file is not, and no level stands for another (T18)."""
    second.archives = [second.folder / f"{TOP}.tar.xz"]
    second.archives[0].write_bytes(b"".join(threaded(second.good)))
    path = second.folder / "bitwise.json"
    assert second.verify("--level", "bitwise", "--statement", path) == cli_verify.REFUSED
    assert second.verdicts() == ["equal", "equal", "differs"]
    assert "VERIFIED" not in second.out
    assert "BITWISE_DIFFERS" in second.err
    assert not path.exists()
    said = second.statement().predicate["properties"]
    assert said == ["RELKIT_SOURCE_CONTENT_EQUAL", "RELKIT_SOURCE_PAYLOAD_EQUAL"]


def test_the_statement_says_what_was_compared_with_what(
    second: Second, published: list[Path]
) -> None:
    found = second.statement()
    assert [one.name for one in found.subjects] == sorted(path.name for path in published)
    shown = second.out
    assert all(one.sha256 in shown for one in found.subjects)
    said = found.predicate
    assert said.keys() == {"verifier", "timeCreated", "properties", "relkit_input"}
    verifier, given = said["verifier"], said["relkit_input"]
    assert isinstance(verifier, dict)
    assert isinstance(given, dict)
    assert verifier["policies"][0]["name"] == "what archives of 3.15 leave out"
    assert given["commit"] == second.good.commit
    assert given["notChecked"] == list(cli_verify.NOT_CHECKED)
    when = datetime.strptime(str(said["timeCreated"]), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - when).total_seconds()) < 600


def test_an_old_statement_is_neither_overwritten_nor_taken_for_a_new_one(second: Second) -> None:
    path = second.folder / "statement.json"
    path.write_text("old", encoding="ascii")
    assert second.verify("--statement", path) == cli_verify.WRONG_USAGE
    assert "WOULD_OVERWRITE" in second.err
    assert path.read_text(encoding="ascii") == "old"


def test_odd_owners_and_times_are_named_and_no_part_of_content(second: Second) -> None:
    def own(info: tarfile.TarInfo) -> None:
        info.uid, info.gid, info.uname, info.gname = 1000, 1000, "ada", "staff"
        info.mtime = 1

    second.archives = [second.folder / f"{TOP}.tar.xz"]
    second.archives[0].write_bytes(lzma.compress(second.good.headers(own), preset=0))
    assert second.verify("--level", "content") == cli_verify.VERIFIED
    assert "members belong to 1000:1000 ada:staff" in second.out
    assert "members have another time than the commit" in second.out


# --- what makes it impossible to tell ---------------------------------------------------------


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give another place for installed blurbs: an empty one."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setattr(relkit.building.source, "TOOLS", folder)
    return folder


def test_without_any_blurb_the_answer_is_that_nobody_can_tell(second: Second, tools: Path) -> None:
    assert list(tools.iterdir()) == []
    path = second.folder / "statement.json"
    assert second.verify("--statement", path) == cli_verify.INCOMPLETE
    assert second.verdicts() == ["cannot tell", "not tried", "not tried"]
    assert "VERIFIED" not in second.out
    assert not path.exists()


def test_a_blurb_that_stops_is_no_proof_against_the_archive(second: Second, tools: Path) -> None:
    stops = tools / "blurb-9.9" / "blurb"
    stops.mkdir(parents=True)
    (stops / "__init__.py").write_text("", encoding="ascii")
    (stops / "__main__.py").write_text("raise SystemExit(3)\n", encoding="ascii")
    assert second.verify() == cli_verify.INCOMPLETE
    assert "no blurb here can make Misc/NEWS of the tag (tried: 9.9)" in second.out


def test_each_installed_blurb_is_tried_and_the_one_that_fits_is_named(
    second: Second, tools: Path
) -> None:
    other = tools / "blurb-1.0" / "blurb"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("", encoding="ascii")
    text = "import pathlib\npathlib.Path('Misc/NEWS').write_text('other')\n"
    (other / "__main__.py").write_text(text, encoding="ascii")
    (tools / BLURB.name).symlink_to(BLURB)
    assert second.verify("--level", "content") == cli_verify.VERIFIED
    assert "by blurb 2.3.0" in second.out
    assert second.verify("--level", "content", "--blurb", "1.0") == cli_verify.REFUSED
    assert "Misc/NEWS is not what blurb makes of the tag (tried: 1.0)" in second.err


def test_a_blurb_that_is_asked_for_and_not_there_is_no_verdict(second: Second) -> None:
    assert second.verify("--blurb", "9.9.9") == cli_verify.CANNOT_CHECK
    assert "CANNOT CHECK: BLURB_MISSING" in second.err


@pytest.mark.parametrize("tool", ["git", "gzip"])
def test_a_missing_program_is_no_verdict(
    second: Second, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    """A check that cannot run never passes, and never accuses the archive (T28)."""
    folder = second.folder / "bin"
    folder.mkdir()
    for name in {"git", "gzip"} - {tool}:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    assert second.verify("--level", "bitwise") == cli_verify.CANNOT_CHECK
    assert "VERIFIED" not in second.out
    assert "CANNOT CHECK" in second.err


def test_compressors_that_give_other_bytes_are_no_verdict(
    second: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(relkit.building.compress.CONTROLS, "gzip", "0" * 64)
    assert second.verify("--level", "bitwise") == cli_verify.CANNOT_CHECK
    assert "TOOL_DRIFT" in second.err
    assert second.verify("--level", "payload") == cli_verify.VERIFIED


def test_a_folder_that_is_no_repository_is_no_verdict(second: Second) -> None:
    assert second.verify(repo=second.folder) == cli_verify.CANNOT_CHECK
    assert "GIT_FAILED" in second.err


# --- the tag ------------------------------------------------------------------------------------


@pytest.fixture
def clone(second: Second) -> Iterator[Path]:
    """Copy the repository, to do things to its tags."""
    path = second.folder / "clone.git"
    shutil.copytree(second.good.repository, path)
    yield path
    shutil.rmtree(path)


def test_a_lightweight_tag_is_nobodys_word(second: Second, clone: Path) -> None:
    git(clone, "update-ref", f"refs/tags/{TAG}", second.good.commit)
    assert second.verify("--level", "content", repo=clone) == cli_verify.VERIFIED
    assert "lightweight: nobody's word" in second.out


def test_the_object_of_another_tag_is_refused(second: Second, clone: Path) -> None:
    named = f"object {second.good.commit}\ntype commit\ntag v3.15.0a1\n"
    other = git(clone, "mktag", given=f"{named}tagger A <a@b.invalid> 1 +0000\n\nx\n".encode())
    git(clone, "update-ref", f"refs/tags/{TAG}", other)
    assert second.verify(repo=clone) == cli_verify.REFUSED
    assert "TAG_NAME_MISMATCH" in second.err


def test_a_tag_that_was_moved_is_a_mismatch(second: Second, clone: Path) -> None:
    git(clone, "update-ref", f"refs/tags/{TAG}", "refs/heads/main")
    assert second.verify(repo=clone) == cli_verify.REFUSED
    assert "TREE_MISMATCH" in second.err


@pytest.mark.parametrize(
    "tag", ["v3.15.0a99", "3.15", "v3.15.0a2\n", "--upload-pack=x", "v3.15.0a2;id", "../v3.15.0a2"]
)
def test_what_is_no_tag_here_is_wrong_usage(second: Second, tag: str) -> None:
    words = [*map(str, second.archives), f"--repo={second.good.repository}", f"--tag={tag}"]
    assert cli.main(["verify", "source", *words]) == cli_verify.WRONG_USAGE


@pytest.mark.parametrize("name", ["missing.tgz", "fifo.tgz", "folder.tgz", "text.txt"])
def test_what_is_no_archive_is_wrong_usage(second: Second, name: str) -> None:
    path = second.folder / name
    if name.startswith("fifo"):
        os.mkfifo(path)
    elif name.startswith("folder"):
        path.mkdir()
    elif name.startswith("text"):
        path.write_text("text", encoding="ascii")
    second.archives = [path]
    assert second.verify() == cli_verify.WRONG_USAGE


# --- the list of a branch -----------------------------------------------------------------------


def test_every_path_that_is_left_out_has_its_reason_and_its_branches() -> None:
    assert all(one.reason and one.since <= one.until for one in REMOVED)
    assert len({one.path for one in REMOVED}) == len(REMOVED)
    of_39 = {one.path for one in removals(Version.parse("3.9.2"))}
    of_315 = {one.path for one in removals(VERSION)}
    assert of_39 - of_315 == {".travis.yml"}
    assert of_315 - of_39 == {"Misc/mypy"}


# --- real releases ------------------------------------------------------------------------------

OLD = os.environ.get("RELKIT_CPYTHON_OLD", "")
HISTORY = os.environ.get("RELKIT_CPYTHON", "")
ARCHIVES = os.environ.get("RELKIT_ARCHIVES", "")
RELEASES = {
    "3.8.2": ("2646e7dc233362f59714c6193017bb2d6f7b38d6ab4a0cb5fbac5c36c4d845df", 4061, 139, 128),
    "3.8.10": ("6af24a66093dd840bcccf371d4044a3027e655cf24591ce26e48022bc79219d9", 4077, 140, 142),
    "3.9.2": ("3c2034c54f811448f516668dce09d24008a0716c3a794dd8639b5388cbde247d", 4257, 150, 138),
    "3.9.5": ("0c5a140665436ec3dbfbb79e2dfb6d192655f26ef4a29aeffcb6d1820d716d83", 4261, 150, 141),
}
"""Of the official ``.tar.xz``: SHA-256; files, files with other line ends, files left out."""


def real(version: str, repository: str, work: Path, level: str = "content") -> Verified:
    """Verify a real release's archive in the folder of archives, or skip."""
    path = Path(ARCHIVES) / f"Python-{version}.tar.xz"
    if not (ARCHIVES and repository and path.is_file()):
        pytest.skip(
            f"needs Python-{version}.tar.xz in the folder RELKIT_ARCHIVES, and its tag in the "
            "repository RELKIT_CPYTHON_OLD (before 3.10) or RELKIT_CPYTHON"
        )
    (work / "view").mkdir()
    asked = Asked(
        tag=f"v{version}",
        version=Version.parse(version),
        archives=(path,),
        level=level,  # type: ignore[arg-type] # one of the three
        tar="",
        blurbs=(OLD_BLURB,),
        work=work / "work",
    )
    objects = Objects(Path(repository), work / "view")
    return verify(objects, asked, lambda _done, _whole: None)


@pytest.mark.slow
@pytest.mark.parametrize("version", RELEASES)
def test_of_a_real_release_nothing_is_unexplained(version: str, tmp_path: Path) -> None:
    sha256, files, by_eol, removed = RELEASES[version]
    found = real(version, OLD, tmp_path)
    assert found.files[0].sha256 == sha256
    assert found.report.unexplained == ()
    report = found.report
    assert (report.files, report.by_eol, report.removed) == (files, by_eol, removed)
    assert (found.blurb, found.verdict("content")) == ("1.1.0", "equal")


@pytest.mark.slow
def test_a_real_alpha_is_bitwise_what_its_tag_gives(tmp_path: Path) -> None:
    found = real("3.13.0a5", HISTORY, tmp_path, level="bitwise")
    digest = "1e89b5355183e7c898a5a01b2f601728fe49fdb89d9c9781f13360847aaefa62"
    assert found.files[0].sha256 == digest
    assert found.reached == ("content", "payload", "bitwise")
    assert (found.tar, found.blurb) == ("1.34", "1.1.0")


def test_news_of_the_sample_is_made_by_both_blurbs(true: Good, tmp_path: Path) -> None:
    """Which of them fits is found out by making it, not by a table."""
    (tmp_path / "view").mkdir()
    objects = Objects(true.repository, tmp_path / "view")
    news = News(objects, true.commit, (OLD_BLURB, BLURB), tmp_path / "news")
    assert not news.is_news(b"nobody makes this")
    assert news.texts.keys() | set(news.stopped) == {"1.1.0", "2.3.0"}
    assert news.fits == ""
