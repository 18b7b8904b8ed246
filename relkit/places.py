"""Where the real systems are, as the file of a world says it: addresses and names, no secrets.

Each part stands for one system. In a rehearsal a part that is not given is played by a local form;
what is given must be on this machine. Production needs all parts, and none of them here.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from relkit.values import Value

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,60}$")]
Name = Annotated[str, Field(min_length=1, max_length=80)]
Words = Annotated[str, Field(pattern=r"^[A-Za-z0-9_. -]{1,80}$")]
Repo = Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]{1,60}/[A-Za-z0-9_.-]{1,90})?$")]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,200}[A-Za-z0-9])?$")]
User = Annotated[str, Field(pattern=r"^([a-z_][a-z0-9_.-]{0,31})?$")]
Folder = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._+-]+)+$")]
"""An absolute path on a server, of letters that mean nothing to any shell."""
HostKey = Annotated[
    str,
    Field(
        pattern=r"^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]{40,2000}=*$"
    ),
]
"""A public host key as OpenSSH writes it, without host and comment."""


def _address(url: str) -> str:
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not safe or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("an address is https://HOST/…, without user or query")
    if not url.endswith("/"):
        raise ValueError("an address ends with a slash")
    return url


Url = Annotated[str, Field(max_length=200), AfterValidator(_address)]


class Ssh(Value):
    """How this machine signs in by SSH: the agent and OpenSSH's own files, or `identity_file`.

    That is the path of a private key; the key itself never stands here.
    """

    identity_file: str = ""


class Git(Value):
    """The remotes, as git addresses; `host_keys` are all keys their hosts may show."""

    upstream: str
    fork: str
    host_keys: tuple[HostKey, ...] = ()


class GitHub(Value):
    """GitHub: `repository` has the tracker, the protection and the checks of upstream.

    The `workflow` of `actions`, at its branch `ref`, makes what `builds` says: for each build the
    names of the run's artifacts. `git_remote` is the fork as that workflow's input names it.
    `messages` is the repository whose issues carry messages to people, and `mentions` what these
    are called on GitHub, by their names.
    """

    api: Url = "https://api.github.com/"
    repository: Repo
    actions: Repo = ""
    workflow: Word = "build-release.yml"
    ref: Word = "main"
    git_remote: Word = "python"
    builds: dict[Word, tuple[Word, ...]] = Field(default={})
    messages: Repo = ""
    mentions: dict[Name, Word] = Field(default={})


class Buildbot(Value):
    """A Buildbot master: builders that carry all of `tags` and the one of the branch are asked.

    `branches` are tags of branches which are not the branch's name. `force` maps a build to the
    force scheduler and the builder that make it, ``scheduler/builder``.
    """

    url: Url
    tags: tuple[Word, ...] = ("stable",)
    branches: dict[Word, Word] = Field(default={"main": "3.x"})
    force: dict[Word, Annotated[str, Field(pattern=r"^[\w .-]{1,60}/[\w .()-]{1,90}$")]] = Field(
        default={}
    )


class Azure(Value):
    """A pipeline of Azure: `builds` says for each build the names of the run's artifacts.

    `ref` is the branch that holds the pipeline's own description. `parameters` go with each run,
    beside those relkit sets by itself (source and commit).
    """

    api: Url
    pipeline: Annotated[int, Field(ge=1)]
    ref: Annotated[str, Field(pattern=r"^refs/heads/[A-Za-z0-9._/-]{1,80}$")] = "refs/heads/main"
    git_remote: Word = "python"
    builds: dict[Word, tuple[Words, ...]] = Field(default={})
    parameters: dict[Word, Annotated[str, Field(pattern=r"^[A-Za-z0-9 ._-]{0,80}$")]] = Field(
        default={}
    )


class Server(Value):
    """A server that is reached by SSH; it must show one of `host_keys`."""

    host: Host
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    user: User = ""
    host_keys: tuple[HostKey, ...] = ()


class Downloads(Server):
    """The download server. Files lie in `public` and wait in `staging`, on one file system.

    Below both a file has the path that follows the host in its public address
    (``ftp/python/3.15.0/…``). `group` is the group of all that is made there (empty: as the
    folders have it). `incoming` is, for each build whose files an expert uploads, the folder where
    these arrive.
    """

    public: Folder
    staging: Folder
    group: User = ""
    incoming: dict[Word, Folder] = Field(default={})


class Docs(Server):
    """The docs server: `releases` is the folder whose folders are the versions' docs.

    The links among the docs archives are on the download server.
    """

    releases: Folder
    group: User = ""


class Website(Value):
    """python.org as its APIs are reached; the keys are the secrets ``site-token``, ``site-key``."""

    url: Url


class Cdn(Value):
    """The site as the public gets it, and how its cache is told to forget.

    Addresses are purged there; surrogate keys through `api`, for the `service`.
    """

    url: Url
    api: Url = "https://api.fastly.com/"
    service: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{0,40}$")] = ""
    deadline_seconds: Annotated[float, Field(ge=0, le=7200)] = 600


class Sigstore(Value):
    """Which Sigstore signs: ``production``, ``staging``, or the path of a trust configuration.

    `issuer` is who vouches for the release manager's identity (`manager_email`).
    """

    trust: str = "production"
    issuer: Annotated[str, Field(max_length=200)]


class Gpg(Value):
    """The release manager's GPG key; `home` is GnuPG's folder, its own if empty."""

    fingerprint: Annotated[str, Field(pattern=r"^[0-9A-F]{40}$")]
    home: str = ""


class Announcements(Value):
    """Where release data and posts are kept: git addresses, and the branch that is pushed to.

    `posts` are what the addresses of posts begin with; nothing else is fetched.
    """

    peps: str
    peps_branch: Word = "main"
    blog: str = ""
    blog_branch: Word = "main"
    host_keys: tuple[HostKey, ...] = ()
    posts: tuple[Url, ...] = ()


class People(Value):
    """The git repository where requests and answers meet, and the branch they are on."""

    meeting: str
    branch: Word = "main"
    host_keys: tuple[HostKey, ...] = ()


class Services(Value):
    """All parts. What is None is played by a local form, which only a rehearsal has."""

    ssh: Ssh = Ssh()
    git: Git | None = None
    github: GitHub | None = None
    buildbot: Buildbot | None = None
    azure: Azure | None = None
    downloads: Downloads | None = None
    docs: Docs | None = None
    website: Website | None = None
    cdn: Cdn | None = None
    sigstore: Sigstore | None = None
    gpg: Gpg | None = None
    announcements: Announcements | None = None
    people: People | None = None
