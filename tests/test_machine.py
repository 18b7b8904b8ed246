from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from relkit.adapters import machine
from relkit.adapters.advisories import LocalAdvisories, PipAudit
from relkit.adapters.attest import Attestor
from relkit.adapters.environment import Installation, intruders, read_lock
from relkit.adapters.machine import LocalMachine, program_version, required_tools
from relkit.adapters.ssh import public_key
from relkit.adapters.timing import seconds_ahead
from relkit.errors import CheckError
from relkit.plan import Check
from relkit.ports import Advisories, Machine, World
from relkit.rehearsal.state import seed_advisories
from relkit.steps import prepare
from relkit.values import Identity, Person, Scan

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
PREFIX = Path(sys.prefix)
BLURB = PREFIX / "share" / "relkit" / "blurb-1.1.0"
HASH = "--hash=sha256:" + "0" * 64


class Fixed:
    def now(self) -> datetime:
        return NOW


def install(site: Path, name: str, version: str, files: dict[str, str]) -> None:
    """Put a package into `site` as pip would."""
    info = f"{name}-{version}.dist-info"
    files = files | {f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"}
    rows = [f"{info}/RECORD,,"]
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        rows.append(f"{path},sha256={digest.decode().rstrip('=')},{len(text)}")
    (site / info / "RECORD").write_text("\n".join(rows) + "\n")


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    site = tmp_path / "site"
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    install(site, "Six", "1.17.0", {"six.py": "x = 1\n"})
    install(site, "pytest", "9.0", {"pytest/__init__.py": "", "../bin/pytest": "#!python\n"})
    install(site, "pip", "23.2", {"pip/__init__.py": ""})
    lock = f"# a comment\nsix==1.17.0 \\\n    {HASH}\npywin==1 ; os_name == 'nt' \\\n    {HASH}\n"
    (tmp_path / "lock.txt").write_text(lock)
    (tmp_path / "dev.txt").write_text(f"pytest==9.0 {HASH}\n")
    return Installation(site, (tmp_path / "lock.txt",), (tmp_path / "dev.txt",))


# --- the environment --------------------------------------------------------------------------


def test_what_was_installed_from_the_lock_has_no_differences(installation: Installation) -> None:
    (installation.folder / "__pycache__").mkdir()
    (installation.folder / "__pycache__/six.cpython-311.pyc").write_bytes(b"")
    assert list(installation.differences()) == []


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("evil", "1.0", "evil 1.0 is installed, but not locked"),
        ("pywin", "1", "pywin 1 is installed, but not locked"),  # locked for another system
    ],
)
def test_a_package_that_is_not_locked_is_named(
    installation: Installation, name: str, version: str, said: str
) -> None:
    install(installation.folder, name, version, {f"{name}.py": ""})
    assert list(installation.differences()) == [said]


def test_another_version_and_a_missing_package_are_named(
    installation: Installation, tmp_path: Path
) -> None:
    """I10: the signing client was another one."""
    (tmp_path / "lock.txt").write_text(f"six==1.16.0 {HASH}\nabsent==2 {HASH}\n")
    assert list(installation.differences()) == [
        "six 1.17.0 is installed, 1.16.0 is locked",
        "absent 2 is locked, but not installed",
    ]


def test_a_lock_that_cannot_be_read_is_a_difference(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "lock.txt").write_text("six 1.17.0\n")
    [line] = installation.differences()
    assert line.startswith("the lock files cannot be read: ")
    (tmp_path / "lock.txt").unlink()
    [line] = installation.differences()
    assert line.endswith("lock.txt'")


def test_a_changed_file_is_seen_even_if_its_size_and_time_are_as_before(
    installation: Installation,
) -> None:
    file = installation.folder / "six.py"
    before = file.stat()
    assert list(installation.differences()) == []
    file.write_text("x = 2\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    said = ["six.py differs from the RECORD of its package"]
    assert list(installation.differences()) == said
    assert list(installation.differences()) == said


def test_a_missing_file_is_seen(installation: Installation) -> None:
    (installation.folder / "../bin/pytest").unlink()
    [line] = installation.differences()
    assert line == "../bin/pytest is missing; it is in the RECORD of its package"


@pytest.mark.parametrize("name", ["evil.pth", "sitecustomize.py", "six/__init__.py", "a.pyc"])
def test_a_file_of_no_package_is_seen(installation: Installation, name: str) -> None:
    (installation.folder / name).parent.mkdir(exist_ok=True)
    (installation.folder / name).write_text("import os")
    assert list(installation.differences()) == [f"{name} belongs to no installed package"]


def test_a_package_without_record_is_seen(installation: Installation) -> None:
    (installation.folder / "Six-1.17.0.dist-info/RECORD").unlink()
    lines = list(installation.differences())
    assert lines[0] == "Six has no RECORD"
    assert "six.py belongs to no installed package" in lines


@pytest.mark.parametrize("name", ["json.py", "six.py", "hashlib/__init__.py"])
def test_a_module_in_the_working_directory_that_hides_another_is_seen(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    here = tmp_path / "here"
    (here / name).parent.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert list(intruders(installation.folder)) == []
    (here / name).write_text("")
    first = Path(name).parts[0]
    module = first.removesuffix(".py")
    assert list(intruders(installation.folder)) == [f"{first} in here hides the module {module}"]


def test_folders_and_texts_that_only_share_a_name_hide_nothing(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here/json").mkdir(parents=True)
    (tmp_path / "here/six.txt").write_text("")
    monkeypatch.chdir(tmp_path / "here")
    assert list(intruders(installation.folder)) == []


def test_a_sitecustomize_on_the_path_is_seen(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path/sitecustomize.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "path"), *sys.path])
    [line] = intruders(installation.folder)
    assert line == "sitecustomize is imported from outside Python's library"


@pytest.mark.skipif(not (PREFIX / ".project").exists(), reason="not made by `make env`")
def test_the_environment_of_these_tests_is_the_locked_one(tmp_path: Path) -> None:
    port: Machine = LocalMachine(folder=tmp_path, blurb=BLURB)
    assert port.environment_differences() == ()


def test_differences_are_cut_at_fifty(tmp_path: Path) -> None:
    lock = "".join(f"absent{number}==1 {HASH}\n" for number in range(60))
    (tmp_path / "lock.txt").write_text(lock)
    (tmp_path / "dev.txt").write_text("")
    port = LocalMachine(folder=tmp_path, blurb=tmp_path / "blurb-9", requirements=tmp_path)
    assert len(port.environment_differences()) == 50


def test_a_lock_gives_the_versions_for_this_python(tmp_path: Path) -> None:
    now = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = (
        f"Numpy==2.4 ; python_full_version < '{now}' \\\n    {HASH}\n"
        f"Numpy==2.5 ; python_full_version >= '{now}' \\\n    {HASH}\n"
    )
    (tmp_path / "lock.txt").write_text(text)
    assert read_lock(tmp_path / "lock.txt") == {"numpy": "2.5"}


# --- tools and disk ---------------------------------------------------------------------------


def test_tools_are_listed_with_versions(tmp_path: Path) -> None:
    blurb = tmp_path / "blurb-1.1.0"
    install(blurb, "blurb", "1.1.0", {"blurb.py": ""})
    tools = {tool.name: tool.version for tool in LocalMachine(folder=tmp_path, blurb=blurb).tools()}
    assert tools["blurb"] == "1.1.0"
    assert {"git", "gpg", "make", "cc", "gzip", "liblzma", "python", "relkit"} <= tools.keys()
    assert None not in tools.values()
    nowhere = LocalMachine(folder=tmp_path, blurb=tmp_path / "nowhere")
    assert [tool.name for tool in nowhere.tools() if tool.version is None] == ["blurb"]


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("git version 2.39.5 (Apple Git-154.1)", "2.39.5"),
        ("gcc (Debian 12.2.0-14+deb12u1) 12.2.1", "12.2.1"),
        ("gpg (GnuPG) 2.2.40\nlibgcrypt 1.10.1", "2.2.40"),
        ("odd", "odd"),
    ],
)
def test_a_program_says_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, version: str
) -> None:
    (tmp_path / "tool").write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    (tmp_path / "tool").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert program_version("tool") == version


def test_a_program_that_fails_or_is_missing_has_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "broken").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program_version("broken") is None
    assert program_version("git") is None


def test_missing_tools_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert required_tools() == ()
    machine.refuse_missing_tools()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CheckError, match=r"TOOL_MISSING: this machine lacks git, gpg, make"):
        machine.refuse_missing_tools()


def test_free_space_is_known_before_the_folder_exists(tmp_path: Path) -> None:
    assert LocalMachine(folder=tmp_path / "not/yet", blurb=BLURB).free_bytes() > 0


# --- advisories -------------------------------------------------------------------------------


def scan(file: Path, **installed: str) -> Scan:
    port: Advisories = LocalAdvisories(file=file, clock=Fixed(), installed=installed)
    return port.scan()


def test_a_scan_finds_its_control_and_what_is_vulnerable(tmp_path: Path) -> None:
    seed_advisories(tmp_path / "a.json", date=NOW)
    clean = scan(tmp_path / "a.json", gitpython="3.2.1")
    assert clean == Scan(control_found=True, database_date=NOW, packages=1, findings=())
    found = scan(tmp_path / "a.json", gitpython="3.1.29")
    assert found.findings == (
        "gitpython 3.1.29: CVE-2022-24439, a remote's address can run commands",
    )


def test_an_unreadable_version_counts_as_vulnerable(tmp_path: Path) -> None:
    seed_advisories(tmp_path / "a.json", date=NOW)
    assert len(scan(tmp_path / "a.json", gitpython="mine").findings) == 1


def test_exact_versions_are_compared_by_their_meaning(tmp_path: Path) -> None:
    data = {
        "date": NOW.isoformat(),
        "control": {"package": "none", "version": "1"},
        "advisories": [
            {"id": "A-1", "package": "None", "below": "2", "summary": "planted"},
            {"id": "A-2", "package": "Six", "versions": ["1.17"], "summary": "bad"},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(data))
    assert scan(tmp_path / "a.json", six="1.17.0").findings == ("six 1.17.0: A-2, bad",)
    assert scan(tmp_path / "a.json", six="1.17.1").findings == ()


@pytest.mark.parametrize("age", [timedelta(days=30), timedelta(hours=-1)], ids=["old", "future"])
def test_a_database_of_another_time_is_blind(tmp_path: Path, age: timedelta) -> None:
    seed_advisories(tmp_path / "a.json", date=NOW - age)
    blind = scan(tmp_path / "a.json", gitpython="3.1.29")
    assert blind == Scan(control_found=False, database_date=NOW - age, packages=1, findings=())


@pytest.mark.parametrize(
    ("cut", "put"),
    [
        ('"RELKIT-CONTROL"', "3"),
        ('"below": "2"', '"below": "0.1"'),
        ('"below": "2"', '"below": "two"'),
        ('"below": "2"', '"below": null'),
        ('"package": "relkit-control",\n      "summary"', '"package": "other", "summary"'),
        ("T12:00:00Z", "T12:00:00"),
        ("{", ""),
        ('"advisories"', '"advisory"'),
    ],
)
def test_a_database_without_a_control_that_is_hit_is_blind(
    tmp_path: Path, cut: str, put: str
) -> None:
    seed_advisories(tmp_path / "a.json", date=NOW)
    text = (tmp_path / "a.json").read_text()
    assert cut in text
    (tmp_path / "a.json").write_text(text.replace(cut, put, 1))
    assert not scan(tmp_path / "a.json", gitpython="3.1.29").control_found


def test_a_missing_database_is_blind_and_this_environment_is_what_is_scanned(
    tmp_path: Path,
) -> None:
    missing = LocalAdvisories(file=tmp_path / "a.json", clock=Fixed()).scan()
    assert (missing.control_found, missing.database_date) == (False, None)
    assert missing.packages > 50


# --- advisories by pip-audit ------------------------------------------------------------------

LOST = "Dependency not found on PyPI and could not be audited: gitpython (3.1.29)"
"""What pip-audit 2.10.1 says where the index has no data, ending with 0."""
HIT = {"name": "gitpython", "version": "3.1.29", "vulns": [{"id": "PYSEC-2022-42992"}]}
CLEAN = {"name": "six", "version": "1.17.0", "vulns": []}


def audit(tmp_path: Path, control: object, lock: object, status: int = 0) -> Scan:
    """Scan with a program that gives one answer for the control and one for the lock."""
    for name, answer in (("control", control), ("lock", lock)):
        text = answer if isinstance(answer, str) else json.dumps({"dependencies": answer})
        (tmp_path / f"{name}.json").write_text(text)
    program = tmp_path / "audit"
    program.write_text(
        f"#!/bin/sh\nenv > {tmp_path}/seen\n"
        f'case "$*" in *--no-deps*) cat {tmp_path}/control.json;; *) cat {tmp_path}/lock.json;; '
        f"esac\nexit {status}\n"
    )
    program.chmod(0o755)
    port: Advisories = PipAudit(lock=tmp_path / "lock.txt", clock=Fixed(), program=str(program))
    return port.scan()


def test_pip_audit_that_finds_its_control_says_what_is_vulnerable(tmp_path: Path) -> None:
    assert audit(tmp_path, [HIT], [CLEAN], status=1) == Scan(
        control_found=True, database_date=NOW, packages=1, findings=()
    )
    bad = CLEAN | {"vulns": [{"id": "A-1", "fix_versions": []}]}
    assert audit(tmp_path, [HIT], [bad], status=1).findings == ("six 1.17.0: A-1",)


def test_pip_audit_without_data_is_blind_though_it_says_no_vulnerabilities(tmp_path: Path) -> None:
    lost = {"name": "gitpython", "skip_reason": LOST}
    skipped = {"name": "six", "skip_reason": "not found"}
    for control in ([lost], [HIT | {"vulns": []}], [CLEAN], []):
        blind = audit(tmp_path, control, [skipped])
        assert blind == Scan(control_found=False, database_date=NOW, packages=0, findings=())


def test_a_package_that_pip_audit_left_out_is_a_finding(tmp_path: Path) -> None:
    skipped = {"name": "six", "skip_reason": "not found"}
    found = audit(tmp_path, [HIT], [CLEAN, skipped])
    assert (found.packages, found.findings) == (1, ("six: not looked at, not found",))


@pytest.mark.parametrize("answer", ["", "Traceback", "[]", "{}", '{"dependencies": [{}]}'])
def test_an_answer_of_pip_audit_that_is_none_gives_no_date(tmp_path: Path, answer: str) -> None:
    none = Scan(control_found=False, database_date=None, packages=0, findings=())
    assert audit(tmp_path, answer, [CLEAN]) == none
    assert audit(tmp_path, [HIT], answer).database_date is None


def test_without_pip_audit_there_is_no_scan(tmp_path: Path) -> None:
    port = PipAudit(lock=tmp_path / "lock.txt", clock=Fixed(), program=str(tmp_path / "none"))
    assert port.scan().database_date is None


def test_pip_audit_sees_no_token_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "canary-4711")
    audit(tmp_path, [HIT], [CLEAN])
    assert "PATH=" in (tmp_path / "seen").read_text()
    assert "canary" not in (tmp_path / "seen").read_text()


# --- the clock --------------------------------------------------------------------------------


@contextmanager
def answering(date: str | None) -> Iterator[str]:
    """Serve refusals with a header Date; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(503)
            if date is not None:
                self.send_header("Date", date)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=-2), timedelta(hours=1)])
def test_the_difference_to_the_worlds_clock_is_seen(ahead: timedelta, tmp_path: Path) -> None:
    theirs = datetime.now(UTC) - ahead
    with answering(format_datetime(theirs, usegmt=True)) as url:
        port: Machine = LocalMachine(folder=tmp_path, blurb=BLURB, site=url)
        found = port.seconds_ahead()
    assert found is not None
    assert abs(found - ahead.total_seconds()) < 15


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_server_that_says_no_time_is_no_clock(date: str | None) -> None:
    with answering(date) as url:
        assert seconds_ahead(url) is None


def test_a_world_that_does_not_answer_is_no_clock(tmp_path: Path) -> None:
    assert seconds_ahead("http://127.0.0.1:9/") is None
    assert LocalMachine(folder=tmp_path, blurb=BLURB).seconds_ahead() is None


# --- who sits here can sign decisions ---------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> tuple[World, Path]:
    """Return a world of which only the key of the one who sits here is looked at, and that key."""
    key = tmp_path / "id_ed25519"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True, timeout=20)
    identity = Identity(scheme="ssh", key=public_key(tmp_path / "id_ed25519.pub"))
    person = Person(name="Rae", role="release-manager", time_zone="UTC", identities=(identity,))
    policy = SimpleNamespace(present=("release-manager",), person=lambda _: person)
    world = SimpleNamespace(policy=policy, nonce="n1", attestations=Attestor(keys={"Rae": key}))
    return cast("World", world), key


def rehearsed(world: World) -> Check:
    [check] = prepare._own_key(world)
    assert isinstance(check, Check)
    return check


def test_a_key_that_is_the_policys_can_sign_decisions(desk: tuple[World, Path]) -> None:
    assert rehearsed(desk[0]).ok


def test_a_key_that_is_missing_or_somebody_elses_is_found_before_anything_is_begun(
    desk: tuple[World, Path],
) -> None:
    world, key = desk
    key.unlink()
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True, timeout=20, input=b"y\n")
    other = rehearsed(world)
    assert (other.ok, other.code) == (False, "SIGNER_UNUSABLE")
    assert other.found.startswith("SSH_INVALID")
    key.unlink()
    key.with_name("id_ed25519.pub").unlink()
    missing = rehearsed(world)
    assert (missing.ok, missing.found.partition(":")[0]) == (False, "SSH_SIGN")
