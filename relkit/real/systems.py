"""The adapters of the real systems which a world's file names.

Each is made when it is first asked for. What the file leaves out is None: a rehearsal has a local
form for it, and production is not opened without it.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from relkit.adapters.announcements import GitAnnouncements
from relkit.adapters.buildbot import BuildbotMaster
from relkit.adapters.cdn import CdnSite, origin_of
from relkit.adapters.editors import Tools
from relkit.adapters.git_branches import Elsewhere
from relkit.adapters.git_command import Identity
from relkit.adapters.git_file import Branch
from relkit.adapters.github import github
from relkit.adapters.github_tracker import GitHubTracker
from relkit.adapters.gpg import GpgSigner
from relkit.adapters.issue_messages import IssueMessages
from relkit.adapters.openssh import Pinned, SshPlace
from relkit.adapters.people import MeetingPeople
from relkit.adapters.posts import Posts
from relkit.adapters.public import Verify
from relkit.adapters.rest import Rest
from relkit.adapters.secrets import Secrets
from relkit.adapters.sigstore_instance import Instance
from relkit.adapters.ssh_docs import SshDocs
from relkit.adapters.ssh_downloads import SshDownloads
from relkit.adapters.web import Web
from relkit.adapters.website import PythonOrg
from relkit.building.source import TOOLS, blurb_command
from relkit.errors import UsageError
from relkit.places import Server, Services
from relkit.policy import MANAGER
from relkit.real.pins import pins, protocols
from relkit.release import Release
from relkit.values import Person
from relkit.worlds import WorldFile

Progress = Callable[[str], None]
DOCS_LINKS = "ftp/python/doc"
"""Where the download server has the docs of each version, below its root."""


@dataclass(frozen=True)
class Systems:
    """The real systems of a world, for one release.

    `state` is the folder of the world's state, and `artifacts` that of the collected files. `tell`
    is told of what takes long.
    """

    file: WorldFile
    state: Path
    artifacts: Path
    release: Release
    secrets: Secrets
    tell: Progress = lambda _: None

    @property
    def services(self) -> Services:
        """Where they are."""
        return self.file.services

    @property
    def manager(self) -> Identity:
        """Who makes commits."""
        return Identity(self.file.people[MANAGER].name, self.file.manager_email)

    def tools(self, blurb: Path) -> Tools:
        """Return the tools by which files of the release are edited."""
        return Tools(
            python=sys.executable,
            blurb=tuple(blurb_command(blurb)),
            docs_environments=TOOLS / "docs",
            logs=self.state / "logs" / self.release.key,
        )

    # --- SSH and git ------------------------------------------------------------------------------

    @cached_property
    def pinned(self) -> Pinned:
        """The configuration of OpenSSH, with all servers of the world's file and no others."""
        key = self.services.ssh.identity_file
        return Pinned(
            self.state / "ssh",
            hosts=pins(self.services),
            identity_file=str(own_path(key)) if key else "",
        )

    @property
    def git_environment(self) -> Mapping[str, str]:
        """What git needs to go by SSH; nothing where no address does."""
        return self.pinned.environment() if pins(self.services) else {}

    @property
    def remotes(self) -> Mapping[str, str] | None:
        """The addresses of upstream and the fork."""
        git = self.services.git
        return None if git is None else {"upstream": git.upstream, "fork": git.fork}

    def branch(self, name: str, url: str, branch: str, *, start: bool = False) -> Branch:
        """Return a branch of a repository elsewhere, of which a copy is kept in the state.

        With `start` it need not be there yet.
        """
        place = Elsewhere(
            name=name,
            copy=self.state / "copies" / f"{name}.git",
            url=url,
            branch=branch,
            protocols=protocols(url),
            environment=self.git_environment,
            start=start,
        )
        return Branch(place)

    # --- the tracker ----------------------------------------------------------------------------

    @cached_property
    def github(self) -> Rest | None:
        """GitHub's interface, signed in."""
        place = self.services.github
        if place is None:
            return None
        denied = partial(self.secrets.forget, "github-token")
        return github(Web(place.api), self.secrets.getter("github-token"), denied=denied)

    @property
    def tracker(self) -> GitHubTracker | None:
        """The tracker of upstream."""
        place = self.services.github
        if place is None or self.github is None:
            return None
        return GitHubTracker(self.github, repository=place.repository)

    @property
    def buildbots(self) -> BuildbotMaster | None:
        """The Buildbot master."""
        place = self.services.buildbot
        if place is None:
            return None
        rest = Rest("Buildbot", Web(place.url))
        return BuildbotMaster(rest, tags=place.tags, branches=place.branches)

    # --- servers ----------------------------------------------------------------------------------

    @cached_property
    def downloads(self) -> SshDownloads | None:
        """The download server."""
        place = self.services.downloads
        if place is None:
            return None
        return SshDownloads(
            self.server(place),
            public=place.public,
            staging=place.staging,
            source=self.artifacts,
            group=place.group,
            tell=self.tell,
        )

    @property
    def docs(self) -> SshDocs | None:
        """The docs server, and the links of the docs on the download server."""
        place, links = self.services.docs, self.services.downloads
        if place is None or links is None:
            return None
        return SshDocs(
            self.server(place),
            self.server(links),
            releases=place.releases,
            links=f"{links.public}/{DOCS_LINKS}",
            source=self.artifacts,
            group=place.group,
        )

    @property
    def website(self) -> PythonOrg | None:
        """python.org's databases."""
        place = self.services.website
        if place is None:
            return None
        token, key = (self.secrets.getter(name) for name in ("site-token", "site-key"))
        return PythonOrg(
            place.url,
            v2_token=token,
            v1_key=key,
            denied=lambda api: self.secrets.forget({"v1": "site-key", "v2": "site-token"}[api]),
            tell=self.tell,
        )

    def public(self, verify: Verify) -> CdnSite | None:
        """Return the public side; `verify` looks at signatures."""
        place = self.services.cdn
        if place is None or self.downloads is None:
            return None
        return CdnSite(
            place.url,
            verify=verify,
            origin=origin_of(self.downloads),
            notes=self.state / f"purged-{self.release.key}.json",
            key=self.secrets.getter("cdn-key"),
            api=place.api,
            service=place.service,
            denied=partial(self.secrets.forget, "cdn-key"),
            deadline_seconds=place.deadline_seconds,
            progress=self.tell,
        )

    # --- people and keys --------------------------------------------------------------------------

    @property
    def announcements(self) -> GitAnnouncements | None:
        """The release data, the blog, and posts."""
        place = self.services.announcements
        if place is None:
            return None
        blog = (
            self.branch("blog", place.blog, place.blog_branch, start=True) if place.blog else None
        )
        return GitAnnouncements(
            folder=self.state / "drafts" / self.release.key,
            peps=self.branch("peps", place.peps, place.peps_branch),
            manager=self.manager,
            posts=Posts(place.posts),
            blog=blog,
            post_name=self.release.slug if blog else "",
        )

    def people(self, roster: tuple[Person, ...]) -> MeetingPeople | None:
        """Return the meeting place of these people."""
        place, issues = self.services.people, self.services.github
        if place is None:
            return None
        messages = None
        if issues is not None and issues.messages and self.github is not None:
            messages = IssueMessages(
                self.github,
                repository=issues.messages,
                folder=self.state / "messages",
                mentions=issues.mentions,
            )
        return MeetingPeople(
            meeting=self.branch("meeting", place.meeting, place.branch),
            roster=roster,
            who=self.manager,
            issues=messages,
        )

    @cached_property
    def sigstore(self) -> Instance | None:
        """The Sigstore instance that signs."""
        place = self.services.sigstore
        return None if place is None else Instance(place.trust)

    @cached_property
    def gpg(self) -> GpgSigner | None:
        """The release manager's own GPG key, whose agent goes on afterwards."""
        place = self.services.gpg
        if place is None:
            return None
        signer = GpgSigner(own_path(place.home or "~/.gnupg"), place.fingerprint)
        if isinstance(signer.close, weakref.finalize):
            signer.close.detach()
        return signer

    def server(self, place: Server) -> SshPlace:
        """Return a server to work on."""
        return self.pinned.place(place.host, place.port, place.user)


def own_path(text: str) -> Path:
    """Return a path of this machine as a world's file gives it; refuse (``BAD_FOLDER``) no path."""
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # nobody has that name here
        raise _no_path(text) from error
    if not str(path).isprintable():
        raise _no_path(text)
    return path


def _no_path(text: str) -> UsageError:
    return UsageError(
        f"{text[:80]!a} is no path of this machine",
        code="BAD_FOLDER",
        remedy="Correct it in the world's file: an absolute path, or one that begins with ~/.",
    )
