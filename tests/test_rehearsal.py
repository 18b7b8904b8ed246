"""A whole rehearsal by papermill, and what is true of the world and of the record afterwards.

Where there is a tool that everybody has (git, gpg, sigstore, HTTP), it is asked, and not relkit.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import rehearsals
import requests
from cells import Notebook, read
from rehearsals import BIN, DATE, ROOT, STEPS, VERSION, git

from relkit.building.sbom_check import check_sbom
from relkit.expected import SBOM, expected, signatures
from relkit.history import History
from relkit.manifest import Manifest
from relkit.rehearsal.seeds import RULES
from relkit.rehearsal.sigstore import LoopbackSigstore
from relkit.release import Release
from relkit.seal import Seal

pytestmark = pytest.mark.slow
RELEASE = Release.parse(VERSION, "alpha", DATE)
WHO = "release-manager@rehearsal.invalid"
PLAIN = {"text/plain", "text/html", "image/png", "image/svg+xml"}
TOKEN = re.compile(rb"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.")
FETCHED = re.compile(
    r"""<(?:script|link|iframe|object|embed|base|form|meta[^>]+refresh[^>]+url)\b|@import|url\((?!#)"""
    r"""|\b(?:src|data|poster|srcset|action)\s*=\s*["']?(?!["']?(?:data:image/|\#))|\son\w+\s*=""",
    re.IGNORECASE,
)


@pytest.fixture(scope="session")
def whole(shared: Path) -> Path:
    """Return the records folder after `relkit rehearse`; its words are kept beside it."""
    return rehearsals.once(shared, "rehearsed", _rehearse)


def _rehearse(folder: Path) -> None:
    done = rehearsals.relkit("rehearse", VERSION, "--date", DATE, "--records", folder / "records")
    assert done.returncode == 0, done.stderr
    (folder / "words").write_text(done.stdout)


@pytest.fixture
def records(whole: Path) -> Path:
    return whole / "records"


@pytest.fixture
def world(records: Path) -> Path:
    return records / "world"


@pytest.fixture
def record(records: Path) -> Path:
    return records / VERSION


@pytest.fixture
def manifest(record: Path) -> Manifest:
    return Manifest.model_validate_json((record / "manifest.json").read_text())


# --- what it says ------------------------------------------------------------------------------


def test_it_says_where_record_page_and_archives_are(whole: Path) -> None:
    words = (whole / "words").read_text()
    for name in ("record", "archives", "page"):
        (path,) = re.findall(rf"^  {name} +(\S+)", words, re.MULTILINE)
        assert Path(path).exists()
    assert f"Python {VERSION} was rehearsed in {len(STEPS)} steps." in words


# --- git ---------------------------------------------------------------------------------------


def test_upstream_has_two_new_commits_and_the_tag_is_on_the_first(world: Path) -> None:
    upstream = world / "upstream.git"
    log = git(upstream, "log", "--format=%s", "-3", "main").splitlines()
    assert log[:2] == [f"Post {VERSION}", f"Python {VERSION}"]
    assert git(upstream, "cat-file", "-t", f"v{VERSION}") == "tag"
    tagged = git(upstream, "rev-parse", f"v{VERSION}^{{commit}}")
    assert tagged == git(upstream, "rev-parse", "main~1")
    assert git(upstream, "rev-list", "--count", "--merges", "main") == "0"
    numbers = git(upstream, "show", f"v{VERSION}:Include/patchlevel.h")
    assert f'#define PY_VERSION      	     "{VERSION}"'.split() == next(
        line.split() for line in numbers.splitlines() if "PY_VERSION " in line
    )
    assert f'"{VERSION}+dev"' in git(upstream, "show", "main:Include/patchlevel.h")


def test_git_and_gpg_verify_the_tag(world: Path, record: Path) -> None:
    signer = History.read(record).results[_step("tag-release")].signer
    with tempfile.TemporaryDirectory(prefix="v") as home:  # its path is short enough for gpg
        keys = _gpg(world / "gnupg", "--armor", "--export").stdout
        _gpg(Path(home), "--import", given=keys)
        done = subprocess.run(
            ["git", "--git-dir", world / "upstream.git", "verify-tag", "--raw", f"v{VERSION}"],
            env={"PATH": _path(), "GNUPGHOME": home},
            capture_output=True,
            text=True,
            check=True,
        )
    assert f"VALIDSIG {signer} " in done.stderr


def _gpg(home: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command: list[str | Path] = ["gpg", "--homedir", home, "--no-autostart", "--batch", *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=True)


def _path() -> str:
    return f"{BIN}:/usr/local/bin:/usr/bin:/bin"


def _step(name: str) -> Any:  # noqa: ANN401 (a step of some result)
    return History.read.__globals__["steps_of"](RELEASE.kind)[STEPS.index(name)]


def test_the_fork_keeps_the_tag_and_not_the_branch(world: Path) -> None:
    heads = git(world / "fork.git", "for-each-ref", "--format=%(refname)", "refs/heads")
    assert heads == "refs/heads/main"
    tags = [git(world / f"{name}.git", "rev-parse", f"v{VERSION}") for name in ("fork", "upstream")]
    assert tags[0] == tags[1]


def test_the_clone_is_clean_and_where_upstream_is(world: Path) -> None:
    clone = world / "clone" / VERSION
    status: list[str | Path] = [
        "git",
        "-C",
        clone,
        "status",
        "--porcelain",
        "--branch",
        "--ignored",
    ]
    done = subprocess.run(status, capture_output=True, text=True, check=True)
    assert done.stdout == "## main\n"
    assert git(clone / ".git", "rev-parse", "HEAD") == git(
        world / "upstream.git", "rev-parse", "main"
    )


def test_the_protection_is_as_it_was_before(world: Path) -> None:
    tracker = json.loads((world / "tracker.json").read_text())
    assert tracker["rules"]["main"] == list(RULES)
    assert not list((world / "upstream.git" / "relkit-locked").iterdir())


def test_what_was_deferred_blocks_again(world: Path) -> None:
    issues = json.loads((world / "tracker.json").read_text())["issues"]
    labels = {issue["number"]: set(issue["labels"]) for issue in issues}
    assert [n for n, found in labels.items() if "release-blocker" in found] == [140001, 140007]
    assert not any("deferred-blocker" in found for found in labels.values())


def test_the_release_is_in_the_data_of_the_peps(world: Path) -> None:
    found = git(world / "peps.git", "log", "--format=%s", "-1", "main")
    assert found == f"Python {VERSION} is released"
    assert DATE in git(world / "peps.git", "show", "main")


# --- files -------------------------------------------------------------------------------------


def test_the_public_folder_holds_exactly_the_manifest(world: Path, manifest: Manifest) -> None:
    """I48: whole releases, tried before a real one."""
    folder = world / "servers" / "public" / RELEASE.folder
    found = {
        path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
    }
    assert found == {file.name: (file.size, file.sha256) for file in manifest.files}
    assert {f"{path.stat().st_mode & 0o777:o}" for path in folder.iterdir()} == {"644"}
    assert [one.name for one in manifest.subjects] == [one.name for one in expected(RELEASE)]
    signed = [(one.subject.name, one.scheme) for one in manifest.companions]
    assert signed == list(signatures(RELEASE))
    assert not [path for path in (world / "servers" / "staging").rglob("*") if path.is_file()]


def test_the_plain_tool_for_digests_finds_every_file_as_it_was_signed(
    world: Path, manifest: Manifest
) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=world / "artifacts" / str(RELEASE.version),
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [f"{file.name}: OK" for file in manifest.files]


def test_each_public_sbom_is_that_of_the_file_beside_it(world: Path, manifest: Manifest) -> None:
    folder = world / "servers" / "public" / RELEASE.folder
    digests = {file.name: file.sha256 for file in manifest.subjects}
    sboms = [name for name in digests if name.endswith(SBOM)]
    assert f"Python-{RELEASE.version}.tar.xz{SBOM}" in sboms
    for sbom in sboms:
        name, text = sbom.removesuffix(SBOM), (folder / sbom).read_text(encoding="utf-8")
        check_sbom(text, name=name, sha256=digests[name], contents=None)


def test_the_stock_sigstore_client_verifies_every_signed_file(world: Path, tmp_path: Path) -> None:
    """I06: the signing step really runs, unattended."""
    instance = LoopbackSigstore(world / "sigstore")  # it is not started: only read
    config = tmp_path / "trust.json"
    config.write_text(instance.trust_config())
    folder = world / "servers" / "public" / RELEASE.folder
    files = [folder / name for name, _ in signatures(RELEASE)]
    for file in files:  # the client looks for the longer name by itself
        (tmp_path / file.name).write_bytes(file.read_bytes())
        bundle = file.with_name(f"{file.name}.sigstore").read_bytes()
        (tmp_path / f"{file.name}.sigstore.json").write_bytes(bundle)
    copies = [tmp_path / file.name for file in files]
    assert _sigstore(config, instance.issuer, WHO, copies).returncode == 0
    assert _sigstore(config, instance.issuer, "other@rehearsal.invalid", copies[:1]).returncode
    copies[0].write_bytes(copies[0].read_bytes() + b"\n")
    assert _sigstore(config, instance.issuer, WHO, copies[:1]).returncode


def _sigstore(
    config: Path, issuer: str, who: str, files: list[Path]
) -> subprocess.CompletedProcess[bytes]:
    trust: list[str | Path] = ["--trust-config", config]
    identity = ["--cert-identity", who, "--cert-oidc-issuer", issuer]
    return subprocess.run(
        [BIN / "sigstore", *trust, "verify", "identity", "--offline", *identity, *files],
        capture_output=True,
        check=False,
        timeout=120,
    )


# --- the site ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(whole: Path) -> Iterator[str]:
    """Serve the site again, as its reader would, and return its address."""
    command = (BIN / "relkit", "serve", "--quiet", "--records", whole / "records")
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield re.findall(r"http://127[^ ]*?/(?=downloads)", server.stdout.readline())[0]
        server.communicate()
        assert server.returncode == 0


def test_the_site_has_the_rows_of_the_manifest(site: str, manifest: Manifest) -> None:
    slug = RELEASE.slug
    (release,) = requests.get(f"{site}api/v2/downloads/release/?slug={slug}", timeout=10).json()
    assert (release["is_published"], release["pre_release"]) == (True, True)
    assert not release["is_latest"]
    rows = requests.get(f"{site}api/v2/downloads/release_file/", timeout=10).json()
    digests = {row["url"].rpartition("/")[2]: row["sha256_sum"] for row in rows}
    listed = {one.name for one in expected(RELEASE) if one.system}
    assert digests == {x.name: x.sha256 for x in manifest.subjects if x.name in listed}
    assert all(row["sigstore_bundle_file"] == f"{row['url']}.sigstore" for row in rows)
    described = {row["sbom_spdx2_file"].rpartition("/")[2] for row in rows} - {""}
    assert described == {x.name for x in manifest.subjects if x.name.endswith(SBOM)}


def test_the_page_lists_every_file_and_each_can_be_had(site: str, manifest: Manifest) -> None:
    page = requests.get(f"{site}downloads/release/{RELEASE.slug}/", timeout=10).text
    assert "rehearsal" in page
    named = (one for one in expected(RELEASE) if one.system or one.name.endswith(SBOM))
    listed = {one.name for one in named}
    for file in manifest.subjects:
        assert (f'{file.name}"' in page) == (file.name in listed)
        got = requests.get(f"{site}{RELEASE.folder}/{file.name}", timeout=10).content
        assert hashlib.sha256(got).hexdigest() == file.sha256
    latest = requests.get(f"{site}downloads/latest/python3/", timeout=10, allow_redirects=False)
    assert RELEASE.slug not in latest.headers.get("Location", "")


def test_the_drafts_say_that_nothing_was_released(world: Path) -> None:
    drafts = {path.name: path.read_text() for path in (world / "drafts" / VERSION).iterdir()}
    assert sorted(drafts) == ["blog.md", "committers.md", "discuss.md", "page.md"]
    for name, text in drafts.items():
        assert "rehearsal" in text.lower(), name
        hosts = set(re.findall(r"https?://([^/\s)>]+)", text))
        assert hosts <= {"www.python.org", "github.com", "peps.python.org", "docs.python.org"}


# --- the record --------------------------------------------------------------------------------


@pytest.fixture
def sealed(record: Path) -> Notebook:
    return read(record / "release.ipynb")


def test_every_cell_of_the_record_ran_and_every_step_is_shown_complete(sealed: Notebook) -> None:
    cells = {cell.id: cell for cell in sealed.cells if cell.cell_type == "code"}
    assert all(
        cell.execution_count and cell.get("outputs")
        for name, cell in cells.items()
        if name not in {"parameters", "injected-parameters"}
    )
    for name in STEPS:
        last = cells.get(f"{name}-step") or cells[f"{name}-apply"]
        assert "completed" in plain(last), name
    order = [cell.id for cell in sealed.cells if cell.id.endswith(("-step", "-apply"))]
    assert [name.rpartition("-")[0] for name in order] == list(STEPS)


def plain(cell: Notebook) -> str:
    """Return everything a cell shows, in both forms."""
    return json.dumps([output.get("data", output) for output in cell.outputs])


def test_the_record_shows_the_decisions_with_who_and_why(sealed: Notebook) -> None:
    gates = {cell.id: plain(cell) for cell in sealed.cells if cell.id.endswith("-gate")}
    assert len(gates) == 5
    for words in gates.values():
        assert "APPROVED by " in words
        assert "looked at in a rehearsal" in words


def test_the_record_holds_plain_outputs_only(sealed: Notebook) -> None:
    assert "widgets" not in sealed.metadata
    for cell in sealed.cells:
        for output in cell.get("outputs", []):
            assert output.output_type in {"display_data", "execute_result", "stream"}, cell.id
            assert set(output.get("data", {})) <= PLAIN, cell.id


@pytest.mark.parametrize("name", ["release.html", "status.html"])
def test_the_pages_of_the_record_load_and_run_nothing(record: Path, name: str) -> None:
    page = (record / name).read_text()
    assert not FETCHED.search(page), FETCHED.findall(page)[:3]
    assert "REHEARSAL" in page
    assert all(name in page for name in STEPS)


def test_the_seal_names_every_file_of_the_record(record: Path) -> None:
    seal = Seal.model_validate_json((record / "seal.json").read_text())
    names = {name for name in rehearsals.tree(record) if not name.startswith("attempts/")}
    outside = {"seal.json", "lock", "status.html", "SHA256SUMS", "SHA256SUMS.sigstore"}
    assert set(seal.files) == names - outside
    for name, digest in seal.files.items():
        assert hashlib.sha256((record / name).read_bytes()).hexdigest() == digest
    assert seal.ledger_head == History.read(record).ledger.head
    assert [one.ended for one in seal.attempts.values()] == ["done"]


def test_the_record_says_nothing_of_this_machine(whole: Path, record: Path) -> None:
    names = {str(whole), str(ROOT), str(Path.home()), tempfile.gettempdir(), "127.0.0.1"}
    for path in record.rglob("*"):
        if path.is_file() and path.parent == record and path.name != "lock":
            text = path.read_text()
            assert not [name for name in names if len(name) > 1 and name in text], path.name


def test_no_secret_is_in_the_record(world: Path, record: Path) -> None:
    secrets = dict(_secrets(world))
    assert len(secrets) >= 8
    for path in (path for path in record.rglob("*") if path.is_file()):
        data = path.read_bytes()
        assert not TOKEN.search(data), path.name
        assert b"PRIVATE KEY" not in data
        assert not [name for name, secret in secrets.items() if secret in data], path.name


def _secrets(world: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each secret of a world: the site's tokens, and what makes a private key private."""
    with closing(sqlite3.connect(world / "site.sqlite")) as database:
        for row in database.execute("select * from user"):
            yield from (
                (one[:4], one.encode())
                for one in map(str, row)
                if re.fullmatch("[0-9a-f]{40}", one)
            )
    for path in world.glob("sigstore/*.pem"):
        text = path.read_text()
        if "PRIVATE KEY" in text:  # the first line of its body ends with the number itself
            yield path.name, text.splitlines()[1][-14:].encode()
    for path in world.glob("gnupg/private-keys-v1.d/*"):
        found = re.search(rb"\(d #?([0-9A-Fa-f\s]{40,})", path.read_bytes())
        yield path.name, found[1][:40] if found else path.read_bytes()[-40:]


# --- what comes after --------------------------------------------------------------------------


def test_the_same_command_again_changes_nothing_but_the_attempts(
    records: Path, tmp_path: Path
) -> None:
    again = rehearsals.copy(records, tmp_path / "records")
    done = rehearsals.relkit("rehearse", VERSION, "--date", DATE, "--records", again)
    assert done.returncode == 0, done.stderr
    before, after = rehearsals.tree(records), rehearsals.tree(again)
    differ = {name for name in before if before[name] != after.get(name)}
    # The new attempt is named in the seal, which is signed anew for that.
    signed = {f"{VERSION}/{name}" for name in ("seal.json", "SHA256SUMS", "SHA256SUMS.sigstore")}
    seals = ("world/site", "world/sigstore/log", f"world/artifacts/{VERSION}/record-")
    assert {name for name in differ if not name.startswith(seals)} == signed
    old = f"world/artifacts/{VERSION}/superseded/"
    added = {name for name in set(after) - set(before) if not name.startswith(old)}
    assert added == {f"{VERSION}/attempts/002-run.ipynb"}


def test_the_next_alpha_is_made_in_the_same_records(records: Path, tmp_path: Path) -> None:
    records = rehearsals.copy(records, tmp_path / "records")
    before = rehearsals.tree(records / VERSION)
    options = ("--date", "2026-06-02", "--records", records)
    done = rehearsals.relkit("rehearse", "3.15.0a2", *options)
    assert done.returncode == 0, done.stderr
    log = git(records / "world" / "upstream.git", "log", "--format=%s", "-4", "main").splitlines()
    assert log == ["Post 3.15.0a2", "Python 3.15.0a2", f"Post {VERSION}", f"Python {VERSION}"]
    assert rehearsals.tree(records / VERSION) == before
    folder = records / "world" / "servers" / "public" / RELEASE.folder
    public = [sorted(folder.glob(f"*{name}*")) for name in (VERSION, "3.15.0a2")]
    assert len(public[0]) == len(public[1]) == len(expected(RELEASE)) + len(signatures(RELEASE))


def test_plain_papermill_with_our_engine_does_it_too(tmp_path: Path) -> None:
    """It is gone on with by `relkit run`, and another engine's attempt is never ours."""
    records, notebook = tmp_path / "records", ROOT / "notebooks" / "alpha.ipynb"
    attempts = records / VERSION / "attempts"
    parameters = {
        "version": VERSION,
        "kind": "alpha",
        "date": DATE,
        "world": rehearsals.WORLD,
        "records": str(records),
    }
    given = [word for pair in parameters.items() for word in ("-p", *pair)]
    attempts.mkdir(parents=True)
    for number, engine in ((1, "relkit"), (2, "nbclient")):
        target = attempts / f"{number:03}-{engine}.ipynb"
        command: list[str | Path] = [
            BIN / "papermill",
            "--engine",
            engine,
            "--no-progress-bar",
            notebook,
            target,
        ]
        done = subprocess.run([*command, *given], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
    assert "status" in read(attempts / "001-relkit.ipynb").metadata.relkit
    done_too = rehearsals.relkit("seal", VERSION, "--records", records)
    assert done_too.returncode == 0, done_too.stderr
    seal = Seal.model_validate_json((records / VERSION / "seal.json").read_text())
    assert {name: one.ended for name, one in seal.attempts.items()} == {
        "001-relkit.ipynb": "done",
        "002-nbclient.ipynb": "",
    }


def test_a_release_before_3_14_is_signed_with_gpg_too(tmp_path: Path) -> None:
    records = tmp_path / "records"
    with rehearsals.started(*rehearsals.bare(records, "3.13.0a6")) as child:
        words, _ = child.communicate(timeout=rehearsals.PATIENCE_SECONDS)
        assert child.returncode == 0, words
    folder = records / "world" / "servers" / "public" / "ftp" / "python" / "3.13.0"
    signed = sorted(folder.glob("*.asc"))
    wanted = signatures(Release.parse("3.13.0a6", "", rehearsals.DATE))
    assert {one.stem for one in signed} == {name for name, scheme in wanted if scheme == "gpg"}
    with tempfile.TemporaryDirectory(prefix="v") as home:
        _gpg(Path(home), "--import", given=_gpg(records / "world/gnupg", "--export").stdout)
        for signature in signed:
            _gpg(Path(home), "--verify", str(signature), str(signature.with_suffix("")))
