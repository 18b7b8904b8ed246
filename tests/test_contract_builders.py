"""The same statements about builders of this machine, a pipeline, and uploads of an expert."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from folder_uploads import FolderUploads
from services import prism
from services.azure_standin import PROJECT, azure_service
from services.running import skip_without
from services.sshd import sshd
from sources import BLURB
from ssh_helpers import Stand
from test_azure import ARTIFACTS, COMMIT, NAMES, SPEC, VERSION, build, pipeline

from relkit.adapters.incoming import Incoming, Uploads
from relkit.adapters.incoming_ssh import SshUploads
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.adapters.remote_builders import RemoteBuilders
from relkit.adapters.shelf import Shelf
from relkit.building.provenance import LOCAL_BUILDER, check_provenance
from relkit.building.uploads import LIST
from relkit.errors import CheckError, UsageError
from relkit.ports import Builders
from relkit.rehearsal.standins import STANDINS
from relkit.values import Artifact, BuildResult, BuildState

ME = {"name": "windows", "nonce": "n1"}
PATIENCE_SECONDS = 60.0
FORMS = ("process", "azure", "uploads here", "uploads by ssh")


@dataclass
class Form:
    """One way to build: `opened` makes the builders as another process would."""

    opened: Callable[[], Builders]
    folder: Path
    builder: str
    deliver: Callable[[], None] = lambda: None
    """What people do elsewhere, so that the build gets done."""


def places(folder: Path) -> Places:
    return Places(folder, folder, BLURB, folder / "site.url", folder)


def upload(folder: Path) -> None:
    """Do what an expert does."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"commit {COMMIT}", f"version {VERSION}"]
    for name in NAMES:
        (folder / name).write_bytes(data := name.encode())
        lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}")
    (folder / LIST).write_text("\n".join(lines))


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("ssh")
    with sshd(folder / "server") as server:
        stand = Stand(server, folder)
        yield stand
        stand.close()


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    skip_without(prism.missing())
    folder = tmp_path_factory.mktemp("azure")
    with ExitStack() as stack:
        made = azure_service(folder, places=places(folder), files=lambda _: ARTIFACTS)
        upstream = stack.enter_context(made).url.partition(f"/{PROJECT}")[0]
        yield stack.enter_context(prism.prism(folder, SPEC, upstream)) + f"/{PROJECT}/_apis/"


def incoming(tmp_path: Path, uploads: Uploads, folder: str, real: Path) -> Form:
    service = Incoming(uploads, folder=folder, builder="https://builds.example/expert")
    local = ProcessBuilders(tmp_path / "builds", places(tmp_path), STANDINS)

    def opened() -> Builders:
        services = {"windows": service}
        return RemoteBuilders(tmp_path / "builds", services, local, poll_seconds=0)

    def deliver() -> None:
        upload(real / VERSION)

    return Form(opened, tmp_path / "builds", service.builder(), deliver)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path: Path) -> Form:
    local = ProcessBuilders(tmp_path / "builds", places(tmp_path), STANDINS)
    if request.param == "process":
        return Form(lambda: local, tmp_path / "builds", LOCAL_BUILDER)
    if request.param == "azure":
        service = pipeline(request.getfixturevalue("azure"))
        both = {"windows": service}
        return Form(
            lambda: RemoteBuilders(tmp_path / "builds", both, local, poll_seconds=0),
            tmp_path / "builds",
            service.builder(),
        )
    if request.param == "uploads here":
        root = tmp_path / "server"
        return incoming(tmp_path, FolderUploads(root), "/incoming", root / "incoming")
    stand: Stand = request.getfixturevalue("ssh")
    real = stand.fresh() / "incoming"
    return incoming(tmp_path, SshUploads(stand.place()), str(real), real)


def state(form: Form) -> BuildState:
    return form.opened().state(**ME)


def made(form: Form) -> BuildResult:
    form.opened().start(build=build())
    form.deliver()
    until = time.monotonic() + PATIENCE_SECONDS
    while (now := state(form)).status == "running":
        assert time.monotonic() < until, now
        time.sleep(0.02)
    assert now.status == "done", now
    result = form.opened().result(**ME)
    assert result is not None
    return result


def test_what_was_not_started_is_absent(form: Form) -> None:
    assert state(form).status == "absent"
    assert not form.opened().started(**ME)
    assert form.opened().result(**ME) is None
    assert form.opened().log(**ME) == ""
    form.opened().cancel(**ME)
    assert not form.opened().started(**ME)


def test_a_build_delivers_exactly_what_it_was_asked_for(form: Form) -> None:
    result = made(form)
    assert [file.name for file in result.files] == sorted(NAMES)
    assert (result.facts["commit"], result.facts["version"]) == (COMMIT, VERSION)
    check_provenance(result.provenance, build=build(), files=result.files, builder=form.builder)
    assert state(form).since is not None


def test_a_started_build_is_found_by_others_and_not_started_again(form: Form) -> None:
    form.opened().start(build=build())
    form.opened().start(build=build())
    assert form.opened().started(**ME)
    assert state(form).status in {"running", "done"}
    with pytest.raises(CheckError) as refused:
        form.opened().start(build=build(commit="6" * 40))
    assert refused.value.code == "BUILD_OTHER"
    form.opened().cancel(**ME)


def test_what_was_made_is_collected_by_digest(form: Form, tmp_path: Path) -> None:
    file = made(form).files[0]
    shelf = Shelf(tmp_path / "shelf", form.folder)
    shelf.collect(name=file.name, sha256=file.sha256, build="windows", nonce="n1")
    assert shelf.artifact(name=file.name) == file
    assert form.opened().read(**ME, file=file)
    with pytest.raises(CheckError) as refused:
        form.opened().read(**ME, file=Artifact(name=file.name, size=1, sha256="0" * 64))
    assert refused.value.code == "DIGEST_CHANGED"


def test_files_that_change_afterwards_are_refused(form: Form) -> None:
    file = made(form).files[0]
    (form.folder / "n1" / "windows" / "attempt-1" / "out" / file.name).write_bytes(b"changed")
    with pytest.raises(CheckError) as refused:
        form.opened().result(**ME)
    assert refused.value.code == "DIGEST_CHANGED"


def test_a_cancelled_build_was_never_started_and_can_be_again(form: Form) -> None:
    first = made(form)
    for _ in range(2):
        form.opened().cancel(**ME)
        assert state(form).status == "absent"
    assert (form.folder / "n1" / "superseded" / "windows.1").is_dir()
    assert made(form).files == first.files


def test_a_build_under_way_is_cancelled(form: Form) -> None:
    form.opened().start(build=build())
    form.opened().cancel(**ME)
    assert not form.opened().started(**ME)


def test_a_log_is_short(form: Form) -> None:
    made(form)
    assert len(form.opened().log(**ME)) <= 4000


@pytest.mark.parametrize("nonce", ["", "..", "a/b", "a\nb", "x" * 200])
def test_a_name_that_is_no_plain_word_is_refused(form: Form, nonce: str) -> None:
    with pytest.raises(UsageError) as refused:
        form.opened().state(name="windows", nonce=nonce)
    assert refused.value.code == "BAD_NAME"
