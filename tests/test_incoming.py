"""Experts' uploads: taken when all of them are there, right, and no longer growing."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from folder_uploads import FolderUploads
from hostile import STRINGS
from hypothesis import given
from hypothesis import strategies as st
from remote_toy import NobodyHere
from sources import git

from relkit.adapters.incoming import MAX_ENTRIES, Entry, Incoming
from relkit.adapters.remote_builders import RemoteBuilders
from relkit.building.uploads import LIST, read_list
from relkit.errors import CheckError, ReleaseError, WorldError
from relkit.values import Build, BuildState

COMMIT, VERSION = "5" * 40, "3.15.0a2"
PKG, SUM = f"python-{VERSION}-macos11.pkg", f"python-{VERSION}-macos11.pkg.spdx.json"
RUN = f"/incoming/macos/{VERSION}"
BUILDER = "https://builds.example/macos-expert"
EXPERTS = Path(__file__).parents[1] / "docs" / "experts.md"
ME = ("-c", "user.name=N", "-c", "user.email=n@example.org")


def build(**changes: object) -> Build:
    options = {"files": f"{PKG};{SUM}", "tag": f"v{VERSION}"}
    plain = Build(name="macos", nonce="n1", version=VERSION, commit=COMMIT, options=options)
    return plain.model_copy(update=changes)


class Expert:
    """Uploads into the folder of the release."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / RUN.lstrip("/")
        self.files = {PKG: b"xar!\nan installer", SUM: b"{}\n"}

    def put(self, name: str, data: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(data)

    def put_files(self) -> None:
        for name, data in self.files.items():
            self.put(name, data)

    def put_list(self, *, commit: str = COMMIT, version: str = VERSION, more: str = "") -> None:
        digests = "".join(
            f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in self.files.items()
        )
        self.put(LIST, f"commit {commit}\nversion {version}\n{digests}{more}".encode())

    def put_all(self) -> None:
        self.put_files()
        self.put_list()


@pytest.fixture
def expert(tmp_path: Path) -> Expert:
    return Expert(tmp_path / "server")


@pytest.fixture
def at(expert: Expert) -> Incoming:
    return Incoming(FolderUploads(expert.root), folder="/incoming/macos", builder=BUILDER)


def state(at: Incoming, **changes: object) -> BuildState:
    return at.state(build=build(**changes), run=RUN)


def test_starting_sends_nothing_and_names_the_folder_of_the_release(
    at: Incoming, expert: Expert
) -> None:
    assert at.start(build=build()) == RUN
    at.find(build=build(), since=datetime.now(UTC))
    assert not expert.root.exists()


def test_i56_nothing_is_taken_before_every_file_is_there(at: Incoming, expert: Expert) -> None:
    assert state(at).detail == f"0 of 3 files in {RUN}, waits for {PKG}, {SUM}, {LIST}"
    expert.put(PKG, expert.files[PKG])
    assert state(at).detail == f"1 of 3 files in {RUN}, waits for {SUM}, {LIST}"
    expert.put(SUM, b"")
    expert.put_list()
    assert state(at).detail == f"2 of 3 files in {RUN}, waits for {SUM}"
    expert.put_files()
    assert state(at).status == "done"


def test_an_upload_that_still_grows_is_not_taken(at: Incoming, expert: Expert) -> None:
    expert.put_all()
    expert.put(PKG, expert.files[PKG][:5])
    found = state(at)
    assert found.status == "running"
    assert f"{PKG} is still uploaded, or was changed" in found.detail
    expert.put_files()
    assert state(at).status == "done"


def test_a_file_too_large_for_any_release_is_not_downloaded(at: Incoming, expert: Expert) -> None:
    expert.put_all()
    os.truncate(expert.folder / PKG, 2**31)  # with a hole: it takes no room
    found = state(at)
    assert (found.status, found.detail.partition(":")[0]) == ("failed", "TOO_LARGE")


def test_a_file_that_changes_between_two_looks_is_not_taken(
    at: Incoming, expert: Expert, monkeypatch: pytest.MonkeyPatch
) -> None:
    expert.put_all()
    real = FolderUploads.digests

    def touched(self: FolderUploads, *, folder: str, names: tuple[str, ...]) -> object:
        found = real(self, folder=folder, names=names)
        os.utime(expert.folder / PKG, (1, 1))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(FolderUploads, "digests", touched)
        assert state(at).detail == "all files are there; one of them is still being changed"
    assert state(at).status == "done"


def test_a_list_that_is_still_written_is_waited_for_and_fails_nothing(
    at: Incoming, expert: Expert
) -> None:
    expert.put_all()
    whole = (expert.folder / LIST).read_bytes()
    for length in range(len(whole) - 1):
        if length and whole[length - 1 : length] == b"\n":
            continue
        expert.put(LIST, whole[:length])
        assert state(at).status == "running", whole[:length]
    expert.put(LIST, whole)
    assert state(at).status == "done"


@pytest.mark.parametrize("name", [f"{PKG}.part", f"{PKG}.filepart", f".{PKG}.Xy12aB", f".{SUM}"])
def test_a_file_under_way_is_no_stranger(at: Incoming, expert: Expert, name: str) -> None:
    expert.put(name, b"x")
    assert state(at).status == "running"


@pytest.mark.parametrize(
    "name", ["python-3.14.0-macos11.pkg", "notes.txt", PKG.upper(), f"{PKG}.sig", ".x"]
)
def test_a_file_too_many_is_named_and_fails_the_build(
    at: Incoming, expert: Expert, name: str
) -> None:
    expert.put_all()
    expert.put(name, b"x")
    found = state(at)
    assert found.status == "failed"
    assert found.detail.startswith("UNLISTED_FILE: ")
    assert name in found.detail
    (expert.folder / name).unlink()
    assert state(at).status == "done"


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_no_plain_file_is_not_taken(at: Incoming, expert: Expert, kind: str) -> None:
    expert.put_all()
    path = expert.folder / PKG
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        os.mkfifo(path)
    assert state(at).status == "failed"


def test_a_folder_that_is_a_link_is_none(at: Incoming, expert: Expert, tmp_path: Path) -> None:
    expert.put_all()
    expert.folder.rename(tmp_path / "elsewhere")
    expert.folder.symlink_to(tmp_path / "elsewhere")
    assert state(at).detail.startswith(f"0 of 3 files in {RUN}, ")


def owned(monkeypatch: pytest.MonkeyPatch, **owners: str) -> None:
    """Let entries have owners; those that are not named are of ``ned``."""
    real = FolderUploads.list

    def told(self: FolderUploads, *, folder: str) -> tuple[Entry, ...]:
        found = real(self, folder=folder) or ()
        return tuple(replace(one, owner=owners.get(one.name, "ned")) for one in found)

    monkeypatch.setattr(FolderUploads, "list", told)


@pytest.mark.parametrize("name", [PKG, LIST])
def test_what_somebody_else_put_among_an_experts_files_is_not_taken(
    at: Incoming, expert: Expert, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """More people may write there than build."""
    expert.put_all()
    owned(monkeypatch, **{name: "mallory"})
    found = state(at)
    assert found.status == "failed"
    assert found.detail.startswith("INCOMING_OWNERS: ")
    assert "'mallory', 'ned'" in found.detail


def test_it_is_told_from_whose_account_files_came(
    at: Incoming, expert: Expert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expert.put_all()
    owned(monkeypatch)
    assert at.fetch(build=build(), run=RUN, folder=tmp_path)["uploader"] == "ned"


def test_an_expert_can_say_that_nothing_will_come(at: Incoming, expert: Expert) -> None:
    expert.put(
        LIST, f"commit {COMMIT}\nversion {VERSION}\nfailed the signing\x1b[2J token\n".encode()
    )
    found = state(at)
    assert (found.status, found.detail) == ("failed", "the expert says: the signing [2J token")
    assert state(at, commit="6" * 40).status == "running"  # it was about another one
    expert.put_all()
    assert state(at).status == "done"


def test_i60_files_of_another_commit_are_not_taken(at: Incoming, expert: Expert) -> None:
    expert.put_all()
    expert.put_list(commit="6" * 40)
    found = state(at)
    assert found.status == "running"
    assert COMMIT in found.detail
    assert "6" * 40 in found.detail


def test_i44_files_of_another_version_are_not_taken(at: Incoming, expert: Expert) -> None:
    expert.put_all()
    expert.put_list(version="3.14.0")
    assert "are of 3.14.0" in state(at).detail
    assert state(at).status == "running"


def test_a_list_of_other_files_is_not_enough(at: Incoming, expert: Expert) -> None:
    expert.put_all()
    expert.put_list(more=f"{'0' * 64}  other.pkg\n")
    assert "other.pkg" in state(at).detail
    assert state(at).status == "running"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "INCOMING_LIST"),
        (f"commit {COMMIT}\n", "INCOMING_LIST"),
        (f"commit {COMMIT[:12]}\nversion {VERSION}\n", "INCOMING_LIST"),
        (f"commit {COMMIT}\ncommit {'6' * 40}\nversion {VERSION}\n", "INCOMING_LIST"),
        (f"commit {COMMIT}\nversion {VERSION}\n{'0' * 64}  ../x\n", "INCOMING_LIST"),
        (f"commit {COMMIT}\nversion {VERSION}\n{'0' * 32}  {PKG}\n", "WEAK_DIGEST"),
        (f"commit {COMMIT}\nversion {VERSION}\n{'a' * 40} *{PKG}\n", "WEAK_DIGEST"),
        (
            f"commit {COMMIT}\nversion {VERSION}\n{'a' * 64}  {PKG}\n{'b' * 64}  {PKG}\n",
            "INCOMING_LIST",
        ),
    ],
)
def test_t46_a_list_that_is_not_clear_is_refused(text: str, code: str) -> None:
    with pytest.raises(CheckError) as refused:
        read_list(text)
    assert refused.value.code == code


def test_the_list_that_experts_are_told_to_make_is_read(expert: Expert, tmp_path: Path) -> None:
    """Line by line as the document has it, but for the paths."""
    expert.put_files()
    git(tmp_path, "init", "-q", "cpython")
    git(tmp_path / "cpython", *ME, "commit", "-q", "--allow-empty", "-m", "x")
    lines = EXPERTS.read_text(encoding="utf-8").splitlines()
    [line] = [one for one in lines if one.startswith('(echo "commit')]
    line = line.replace("~/cpython", str(tmp_path / "cpython")).replace(
        "shasum -a 256", "sha256sum"
    )
    command = ["sh", "-c", f"V={VERSION}; {line}"]
    subprocess.run(command, cwd=expert.folder, check=True, timeout=60)
    said = read_list((expert.folder.parent / LIST).read_text())
    assert said.commit == git(tmp_path / "cpython", "rev-parse", "HEAD")
    assert said.version == VERSION
    assert said.digests == {
        name: hashlib.sha256(data).hexdigest() for name, data in expert.files.items()
    }


@pytest.mark.parametrize("digest", ["a" * 64, "A" * 64])
def test_a_list_made_on_windows_is_read(digest: str) -> None:
    text = f"\ufeffversion {VERSION}\r\ncommit {COMMIT}\r\n\r\n{digest} *{PKG}\r\n"
    said = read_list(text)
    assert (said.commit, said.version, said.digests) == (COMMIT, VERSION, {PKG: "a" * 64})


@given(text=st.text())
def test_any_other_text_is_refused_or_names_plain_files(text: str) -> None:
    try:
        said = read_list(f"commit {COMMIT}\nversion {VERSION}\n{text}")
    except CheckError:
        return
    assert said.commit == COMMIT
    assert all("/" not in name for name in said.digests)


def test_what_is_fetched_has_the_digests_of_the_list(
    at: Incoming, expert: Expert, tmp_path: Path
) -> None:
    expert.put_all()
    out = tmp_path / "out"
    out.mkdir()
    facts = at.fetch(build=build(), run=RUN, folder=out)
    assert facts == {"commit": COMMIT, "version": VERSION, "run": RUN, "builder": BUILDER}
    assert {path.name: path.read_bytes() for path in out.iterdir()} == expert.files


def test_what_changed_since_the_last_look_is_not_fetched(
    at: Incoming, expert: Expert, tmp_path: Path
) -> None:
    expert.put_all()
    assert state(at).status == "done"
    expert.put(PKG, b"other bytes")
    with pytest.raises(CheckError) as refused:
        at.fetch(build=build(), run=RUN, folder=tmp_path)
    assert refused.value.code == "DIGEST_CHANGED"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"commit {'6' * 40}\nversion {VERSION}\n",
        f"commit {COMMIT}\nversion {VERSION}\nfailed x\n",
    ],
)
def test_a_list_that_is_replaced_after_the_look_fails_no_build(
    at: Incoming, expert: Expert, tmp_path: Path, text: str
) -> None:
    expert.put_all()
    assert state(at).status == "done"
    expert.put(LIST, text.encode())
    with pytest.raises(CheckError) as refused:
        at.fetch(build=build(), run=RUN, folder=tmp_path)
    assert refused.value.code == "DIGEST_CHANGED"


def test_a_file_replaced_between_its_digest_and_the_download_is_not_taken(
    at: Incoming, expert: Expert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expert.put_all()
    real = FolderUploads.get

    def late(self: FolderUploads, *, folder: str, name: str, target: Path) -> None:
        expert.put(name, b"other bytes")
        real(self, folder=folder, name=name, target=target)

    builders = RemoteBuilders(tmp_path / "builds", {"macos": at}, NobodyHere(), poll_seconds=0)
    builders.start(build=build())
    with monkeypatch.context() as patched:
        patched.setattr(FolderUploads, "get", late)
        with pytest.raises(CheckError) as refused:
            builders.state(name="macos", nonce="n1")
    assert refused.value.code == "DIGEST_CHANGED"
    attempt = tmp_path / "builds" / "n1" / "macos" / "attempt-1"
    assert sorted(path.name for path in attempt.iterdir()) == ["job.json", "lock"]
    expert.put_files()
    assert builders.state(name="macos", nonce="n1").status == "done"


def test_files_of_an_older_attempt_are_not_taken_for_those_of_a_new_commit(
    at: Incoming, expert: Expert
) -> None:
    expert.put_all()
    new = "6" * 40
    expert.files = {PKG: b"the new installer", SUM: b"{1}\n"}
    assert state(at, commit=new).status == "running"
    expert.put_list(commit=new)  # it came first
    assert "still uploaded, or was changed" in state(at, commit=new).detail
    expert.put(PKG, expert.files[PKG])
    assert SUM in state(at, commit=new).detail
    expert.put_files()
    assert state(at, commit=new).status == "done"


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * 70_000], ids=["not UTF-8", "too long"])
def test_a_list_that_is_no_text_is_refused(at: Incoming, expert: Expert, data: bytes) -> None:
    expert.put_all()
    expert.put(LIST, data)
    with pytest.raises(WorldError) as refused:
        state(at)
    assert refused.value.code in {"NOT_UTF8", "TOO_LARGE"}


def test_t43_names_of_a_server_are_shown_and_never_used(at: Incoming, expert: Expert) -> None:
    for text in STRINGS:
        if "/" in text or text in {".", ".."}:  # on a server as here, no name of a file
            continue
        try:
            expert.put(text, b"x")
        except (OSError, ValueError):  # the file system has no such name
            continue
        found = state(at)
        assert found.status in {"failed", "running"}
        assert found.detail.isprintable()
    assert at.log(build=build(), run=RUN).isascii()


def test_t43_a_folder_full_of_names_is_refused(at: Incoming, expert: Expert) -> None:
    for number in range(MAX_ENTRIES + 2):
        expert.put(f"x{number}", b"")
    assert state(at).detail.startswith("REMOTE_NAME: ")


def test_no_hostile_string_is_a_version_or_a_file(at: Incoming, expert: Expert) -> None:
    for text in STRINGS:
        with pytest.raises(ReleaseError):
            at.start(build=build(version=text))
    expert.put_all()
    for text in STRINGS:
        found = f"{PKG};{text}"
        try:
            assert state(at, options={"files": found}).status != "done"
        except ReleaseError as error:
            assert error.code == "BAD_NAME"  # noqa: PT017 (some of them are plain names)


def test_a_build_is_taken_from_uploads_as_from_any_other_service(
    at: Incoming, expert: Expert, tmp_path: Path
) -> None:
    builders = RemoteBuilders(tmp_path / "builds", {"macos": at}, NobodyHere(), poll_seconds=0)
    builders.start(build=build())
    assert builders.state(name="macos", nonce="n1").status == "running"
    expert.put_all()
    assert builders.state(name="macos", nonce="n1").status == "done"
    builders.cancel(name="macos", nonce="n1")
    assert (expert.folder / PKG).exists()
    builders.start(build=build())
    assert builders.state(name="macos", nonce="n1").status == "done"
