"""Canaries where secrets are, and a search for them where they must not be.

A whole rehearsal runs with them in its environment and with the world's own secrets in use;
meanwhile every process's arguments are read, and afterwards every file it left, compressed ones
too. Looked for are the values in the forms the seal looks for.
"""

from __future__ import annotations

import gzip
import lzma
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from rehearsals import DATE, VERSION, WORLD

from relkit import secret_scan
from relkit.adapters import attest, ssh
from relkit.adapters.git_names import check_url
from relkit.adapters.timing import seconds_ahead
from relkit.adapters.web import Web, quoted
from relkit.cli import main
from relkit.errors import ReleaseError, UsageError, WorldError

CANARY = "canary-7f3a9c-"
ENVIRONMENT = {
    name: f"{CANARY}{name.lower()}-4b1d{number}"
    for number, name in enumerate(
        [
            "GITHUB_TOKEN",
            "GH_TOKEN",
            "SIGSTORE_ID_TOKEN",
            "PYTHON_ORG_API_KEY",
            "TWINE_PASSWORD",
            "GPG_PASSPHRASE",
            "AWS_SECRET_ACCESS_KEY",
            "RELEASE_CREDENTIALS",
            "SSH_ASKPASS_SECRET",
            "MYSQL_PWD",
            "NPM_AUTH",
        ]
    )
}
PROXY = f"http://somebody:{CANARY}proxy-4b1e@127.0.0.1:9"
"""An address with a password; for https, which nothing here speaks."""
KEPT = ("site.sqlite", "keys/", "gnupg/", "sigstore/")
"""Where the world of a rehearsal has its own secrets, below its state."""
SLOW_START = 0.01


@dataclass
class Left:
    """What a run left: its folder, its output, and the arguments of processes it ran beside."""

    records: Path
    output: str
    arguments: set[bytes]

    @property
    def state(self) -> Path:
        return self.records / "world"

    def texts(self) -> Iterator[tuple[str, bytes]]:
        """Yield every file that is no store of secrets, whole, and what is compressed in it."""
        for path in sorted(self.records.rglob("*")):
            name = path.relative_to(self.records).as_posix()
            kept = any(name.startswith(f"world/{one}") for one in KEPT)
            if kept or path.is_symlink() or not path.is_file():
                continue
            yield name, path.read_bytes()
            with suppress(OSError, EOFError, lzma.LZMAError):
                yield name, _unpacked(path)


def _unpacked(path: Path) -> bytes:
    match path.suffix:
        case ".tgz" | ".gz":
            return gzip.decompress(path.read_bytes())
        case ".xz":
            return lzma.decompress(path.read_bytes())
        case _:
            return b""


@contextmanager
def arguments_seen() -> Iterator[set[bytes]]:
    """Collect the arguments of all processes that are seen meanwhile (Linux)."""
    seen: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SLOW_START):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(process.read_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Rehearse once, with canaries in the environment."""
    records = tmp_path_factory.mktemp("secrets") / "records"
    command = [sys.executable, "-m", "relkit", "rehearse", VERSION, "--date", DATE]
    command += ["--world", WORLD, "--records", str(records)]
    environment = os.environ | ENVIRONMENT | {"HTTPS_PROXY": PROXY, "https_proxy": PROXY}
    with arguments_seen() as seen:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=400
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return Left(records, done.stdout + done.stderr, seen)


def secrets_of(state: Path) -> Iterator[str]:
    """Yield the world's own secrets: what it signs in with, and the lines of its private keys."""
    with closing(sqlite3.connect(f"file:{state}/site.sqlite?mode=ro", uri=True)) as site:
        for row in site.execute("SELECT v1_key, v2_token, session FROM user"):
            yield from filter(None, row)
    for path in [*(state / "sigstore").glob("*.pem"), *(state / "keys").iterdir()]:
        text = path.read_text()
        if "PRIVATE KEY" in text:
            yield text


def known(left: Left) -> dict[str, str]:
    return secret_scan.known_values(ENVIRONMENT, f"{CANARY}proxy-4b1e", *secrets_of(left.state))


@pytest.mark.slow
def test_a_rehearsal_leaves_no_secret_in_any_file(left: Left) -> None:
    looked = known(left)
    assert len(looked) > len(ENVIRONMENT) + 5
    found = {name: where(data, looked) for name, data in left.texts()}
    assert {name: what for name, what in found.items() if what} == {}
    kinds = {Path(name).suffix for name in found}
    assert {".jsonl", ".html", ".ipynb", ".log", ".json", ".tgz", ".xz"} <= kinds


@pytest.mark.slow
def test_a_rehearsal_prints_no_secret_and_has_none_in_any_processs_arguments(left: Left) -> None:
    looked = known(left)
    assert where(left.output.encode(), looked) == ""
    assert any(b"relkit" in one for one in left.arguments)
    assert any(b"git" in one for one in left.arguments)
    mine = [
        one for one in left.arguments if b"rehearse" in one or str(left.records).encode() in one
    ]
    assert len(mine) > 5
    assert where(b"\n".join(left.arguments), looked) == ""


def where(data: bytes, looked: dict[str, str]) -> str:
    """Return which known secret stands in data, by its value; empty: none."""
    try:
        secret_scan.require_no_secrets({"it": data}, looked)
    except ReleaseError as error:
        named = any(what in str(error) for what in looked.values())
        return str(error) if named or b"PRIVATE KEY-----" in data else ""
    return ""


@pytest.mark.slow
def test_this_search_would_find_a_canary(left: Left) -> None:
    looked = known(left)
    for value in (*ENVIRONMENT.values(), *secrets_of(left.state)):
        line = value.strip().split("\n")[len(value.strip().split("\n")) // 2]
        assert where(b"before " + line.encode() + b" after", looked), line[:12]


# --- what is refused, and what is said then ---------------------------------------------------


def test_the_text_of_a_failed_ssh_signature_has_nothing_of_the_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n-----END\n")
    key.chmod(0o600)
    with pytest.raises(WorldError) as refusal:
        ssh.sign("text", key=key, namespace="test")
    assert CANARY not in f"{refusal.value!s}{refusal.value.remedy}"
    with pytest.raises(WorldError) as missing:
        attest.Attestor(keys={"Rae": key}).sign(who="Rae", text=CANARY)
    assert CANARY not in str(missing.value)


def test_an_address_with_a_password_is_not_repeated() -> None:
    for secret in (CANARY, f"{CANARY}/of@more"):
        with pytest.raises(UsageError) as refusal:
            check_url(f"https://rm:{secret}@git.invalid/x.git", protocols=("https", "file"))
        assert "git.invalid" in str(refusal.value)
        assert CANARY not in f"{refusal.value!s}{refusal.value.remedy}"


def test_a_world_whose_address_has_a_password_is_only_asked_for_its_time() -> None:
    begun = time.monotonic()
    assert seconds_ahead(f"http://rm:{CANARY}@127.0.0.1:9/") is None
    assert time.monotonic() - begun < 30


def test_a_site_whose_address_has_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError) as refusal:
        Web(f"https://rm:{CANARY}@www.invalid/")
    assert refusal.value.code == "BAD_URL"
    assert CANARY not in f"{refusal.value!s}{refusal.value.remedy}"


def test_an_address_given_as_the_source_is_not_repeated(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = f"https://rm:{CANARY}@127.0.0.1:9/x.git"
    records = tmp_path / "records"
    assert main(["rehearse", VERSION, "--records", str(records), "--repo", source]) == 2
    said = "".join(capfd.readouterr())
    assert "NOT_A_REPOSITORY" in said
    assert CANARY not in said
    assert not any(records.rglob("*"))


def test_a_header_that_a_site_repeats_is_shown_without_its_secret() -> None:
    words = quoted(f"no such key: ApiKey rm:{CANARY}4711", (f"rm:{CANARY}4711", f"{CANARY}4711"))
    assert "no such key" in words
    assert CANARY not in words
