"""A rehearsal whose systems are real software on this machine, each started and stopped here.

git goes over an OpenSSH server, which also has the download and docs servers; pages and files go
through Varnish and nginx; builders are those of a Buildbot master. GitHub and Azure Pipelines are
stand-ins behind proxies that hold each call against the services' own descriptions. What remains
local is signing (the loopback Sigstore), people, and release data.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import rehearsals
from services import azure_standin as azure
from services import buildbot, github_standin, nginx, prism, sshd, varnish
from services.github_standin_state import Workflow

from relkit.adapters.editors import blurb_for
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.adapters.secrets import variable
from relkit.building.builder import PROGRAMS
from relkit.building.source import TOOLS
from relkit.expected import expected
from relkit.rehearsal.making import site_of
from relkit.rehearsal.standins import STANDINS
from relkit.rehearsal.world import make_rehearsal
from relkit.release import Release
from relkit.values import Build
from relkit.worlds import read_world_file

ROOT = Path(__file__).parents[1]
REPOSITORY = "python/cpython"
MADE_BY_GITHUB = ("rebuild", "android", "ios")
MADE_BY_AZURE = ("windows",)
UPLOADED = "macos"
EXPERT_PAUSE_SECONDS = 0.3
SPEC = Path(__file__).parent / "services" / "azure.json"


@dataclass
class RealWorld:
    """The servers of a rehearsal; `file` describes its world, `env` has what signs in."""

    release: Release
    records: Path
    file: Path
    env: Mapping[str, str]
    sshd: sshd.Sshd
    cdn: varnish.Varnish
    origin: nginx.Nginx
    master: buildbot.Master
    incoming: Path
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> Path:
        """The folder of the world's state."""
        return self.records / "world"

    def relkit(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command line as this world's release manager."""
        return rehearsals.relkit(*arguments, env=self.env)

    def run(self) -> subprocess.CompletedProcess[str]:
        """Carry the release on as far as it goes, and seal it in the end."""
        one = self.release
        which = (str(one.version), "--kind", one.kind, "--date", f"{one.time:%Y-%m-%d}")
        where = ("--world", self.file, "--records", self.records)
        return self.relkit("run", *which, *where)


@contextmanager
def real_world(folder: Path, version: str, kind: str, day: str) -> Iterator[RealWorld]:
    """Start everything that a release needs; stop it in the end."""
    release, records = Release.parse(version, kind, day), folder / "records"
    state, plain = records / "world", ROOT / rehearsals.WORLD
    world = read_world_file(plain)[0]
    make_rehearsal(world, records / release.key, release)
    with ExitStack() as stack:
        start = stack.enter_context
        server = start(sshd.sshd(folder / "sshd", users=1))
        site = start(site_of(state))
        public = state / "servers" / "public"
        for made_by_infrastructure in (public, state / "servers" / "staging"):
            made_by_infrastructure.mkdir(parents=True, exist_ok=True)
        (state / "servers" / "docs" / "release").mkdir(parents=True, exist_ok=True)
        origin = start(nginx.nginx(folder / "nginx", root=public, proxy=site.url))
        cdn = start(varnish.varnish(folder / "varnish", origin.url))
        places = _places(state, release, folder / "elsewhere")
        github = start(prism.prism(folder, prism.GITHUB, start(_github(folder, release, places))))
        pipeline = start(prism.prism(folder, SPEC, start(_azure(folder, release, places))))
        master = start(_buildbot(folder / "buildbot", release, state))
        incoming = server.root / "incoming"
        incoming.mkdir()
        incoming.chmod(0o2777)
        file = folder / "real.toml"
        words = _services(server, state, cdn, github, pipeline, master.url, incoming)
        file.write_text(plain.read_text(encoding="utf-8") + words, encoding="utf-8")
        secrets = {
            "github-token": github_standin.TOKEN,
            "azure-token": azure.TOKEN,
            "site-token": site.v2_token,
            "site-key": site.v1_key,
            "cdn-key": varnish.KEY,
        }
        env = {**os.environ, **{variable(world.name, name): one for name, one in secrets.items()}}
        made = RealWorld(
            *(release, records, file, env, server, cdn, origin, master, incoming),
        )
        expert = threading.Thread(target=_macos_expert, args=(made, folder / "mac", places))
        expert.start()
        stack.callback(expert.join)
        stack.callback(made.ended.set)
        yield made


def _places(state: Path, release: Release, folder: Path) -> Places:
    """Return where machines elsewhere find things: the fork alone."""
    folder.mkdir()
    blurb = TOOLS / f"blurb-{blurb_for(str(release.version))}"
    return Places(state / "fork.git", folder / "none", blurb, folder / "url", folder / "packages")


def _github(folder: Path, release: Release, places: Places):  # type: ignore[no-untyped-def]  # noqa: ANN202 (a context manager)
    builds = folder / "actions"
    platforms = {one.build for one in expected(release)} & set(MADE_BY_GITHUB)
    made = {"rebuild": ("source",), **{name: (name,) for name in sorted(platforms)}}
    builders = ProcessBuilders(builds, places, {**PROGRAMS, **STANDINS})
    workflow = Workflow(release, builders, builds, places.repository, made)
    state = folder / "records" / "world"
    return github_standin.github_standin(state, repository=REPOSITORY, workflow=workflow)


def _azure(folder: Path, release: Release, places: Places):  # type: ignore[no-untyped-def]  # noqa: ANN202 (a context manager)
    names = tuple(one.name for one in expected(release) if one.build == "windows")
    return azure.azure_standin(
        folder / "pipeline", places=places, files=lambda _: {"windows": names}
    )


@contextmanager
def _buildbot(folder: Path, release: Release, state: Path) -> Iterator[buildbot.Master]:
    """Run a master whose stable builders have built the head of the branch."""
    tag = "3.x" if release.branch == "main" else release.branch
    stable = {f"{name} {tag}": (tag, "stable") for name in ("AMD64 Debian", "ARM64 macOS")}
    series = release.version.series
    new = {f"AMD64 Debian {series}": (series, "stable")}
    with buildbot.buildbot(folder, builders=new | stable) as master:
        head = rehearsals.git(state / "upstream.git", "rev-parse", f"refs/heads/{release.branch}")
        master.build_all(tuple(stable), head)
        yield master


def _services(  # noqa: PLR0913, PLR0917 (a line each)
    server: sshd.Sshd,
    state: Path,
    cdn: varnish.Varnish,
    github: str,
    pipeline: str,
    master: str,
    incoming: Path,
) -> str:
    """Return the part of the world's file that says where everything is."""
    git = f"ssh://{server.me.name}@{server.host}:{server.port}{state}"
    reached = (
        f'host = "{server.host}"\nport = {server.port}\nuser = "{server.me.name}"\n'
        f'host_keys = ["{server.host_key}"]\n'
    )
    artifacts = "\n".join(
        f'{name} = ["{"source" if name == "rebuild" else name}"]' for name in MADE_BY_GITHUB
    )
    return f"""
[services.ssh]
identity_file = "{server.me.identity}"

[services.git]
upstream = "{git}/upstream.git"
fork = "{git}/fork.git"
host_keys = ["{server.host_key}"]

[services.github]
api = "{github}/"
repository = "{REPOSITORY}"
actions = "{REPOSITORY}"
[services.github.builds]
{artifacts}

[services.buildbot]
url = "{master}"

[services.azure]
api = "{pipeline}/{azure.PROJECT}/_apis/"
pipeline = 21
[services.azure.builds]
windows = ["windows"]

[services.downloads]
{reached}public = "{state}/servers/public"
staging = "{state}/servers/staging"
[services.downloads.incoming]
{UPLOADED} = "{incoming}"

[services.docs]
{reached}releases = "{state}/servers/docs/release"

[services.website]
url = "{cdn.url}"

[services.cdn]
url = "{cdn.url}"
api = "{cdn.url}"
service = "{cdn.service}"
deadline_seconds = 60
"""


def _macos_expert(world: RealWorld, folder: Path, places: Places) -> None:
    """Wait for the tag on the fork, build, and upload with `scp`, as another user."""
    names = [one.name for one in expected(world.release) if one.build == UPLOADED]
    tag = f"refs/tags/{world.release.tag}"
    while names and not world.ended.wait(EXPERT_PAUSE_SECONDS):
        found = rehearsals.git(places.repository, "for-each-ref", "--format=%(*objectname)", tag)
        if found:
            _upload(world, folder, places, found, names)
            return


def _upload(world: RealWorld, folder: Path, places: Places, commit: str, names: list[str]) -> None:
    version, nonce = str(world.release.version), "mac"
    builders = ProcessBuilders(folder / "builds", places, STANDINS)
    options = {"files": ";".join(names), "tag": world.release.tag}
    builders.start(
        build=Build(name=UPLOADED, nonce=nonce, version=version, commit=commit, options=options)
    )
    while builders.state(name=UPLOADED, nonce=nonce).status == "running":
        time.sleep(EXPERT_PAUSE_SECONDS)
    result = builders.result(name=UPLOADED, nonce=nonce)
    assert result is not None, builders.log(name=UPLOADED, nonce=nonce)
    out = folder / version
    (folder / "builds" / nonce / UPLOADED / "attempt-1" / "out").rename(out)
    lines = [f"commit {commit}", f"version {version}"]
    lines += [f"{one.sha256}  {one.name}" for one in result.files]
    (out / "built-from.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
    server, expert = world.sshd, world.sshd.others[0]
    options_of_scp = {
        "IdentityFile": expert.identity,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "no",
        "LogLevel": "ERROR",
    }
    words = [word for name, one in options_of_scp.items() for word in ("-o", f"{name}={one}")]
    target = f"{expert.name}@{server.host}:{world.incoming}/"
    subprocess.run(
        ["scp", "-q", "-r", "-P", str(server.port), *words, str(out), target],
        check=True,
        timeout=60,
    )
