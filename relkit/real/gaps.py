"""What a production's file leaves out, each thing as whoever fills it in needs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relkit.policy import MANAGER
from relkit.release import Release
from relkit.values import Identity
from relkit.worlds import WorldFile

HOST_KEYS = (
    "every key that the host may show, compared with what its owners tell you",
    'host_keys = ["ssh-ed25519 AAAA…"]',
)
ACCOUNT = ("your account there", 'user = "YOU"')
ARTIFACTS = ("the names of the run's artifacts that hold the files", '{} = ["NAME"]')
HINTS = {
    "git": ("CPython's repository and your fork, as git addresses", 'upstream = "ssh://…"'),
    "git.upstream": (
        "CPython's repository",
        'upstream = "ssh://git@github.com/python/cpython.git"',
    ),
    "git.fork": (
        "your fork, where branches and tags lie until the end",
        'fork = "ssh://git@github.com/YOU/cpython.git"',
    ),
    "git.host_keys": HOST_KEYS,
    "github": ("where tracker and build workflow are", 'repository = "python/cpython"'),
    "github.repository": ("the repository with the tracker", 'repository = "python/cpython"'),
    "github.actions": ("the one with the build workflow", 'actions = "python/release-tools"'),
    "github.builds": ARTIFACTS,
    "buildbot": ("the Buildbot master", 'url = "https://buildbot.python.org/all/"'),
    "buildbot.tags": ("the tags of the builders that are asked", 'tags = ["stable"]'),
    "azure": ("the pipeline that builds for Windows", "pipeline = 21"),
    "azure.builds": ARTIFACTS,
    "downloads": ("the download server", 'host = "downloads.nyc1.psf.io"'),
    "downloads.user": ACCOUNT,
    "downloads.host_keys": HOST_KEYS,
    "docs": ("the docs server", 'host = "docs.nyc1.psf.io"'),
    "docs.user": ACCOUNT,
    "docs.host_keys": HOST_KEYS,
    "website": ("python.org", 'url = "https://www.python.org/"'),
    "cdn": ("the site as the public gets it", 'url = "https://www.python.org/"'),
    "sigstore": ("which Sigstore signs", 'issuer = "https://github.com/login/oauth"'),
    "sigstore.trust": ("which instance", 'trust = "production"'),
    "sigstore.issuer": ("who vouches for you", 'issuer = "https://github.com/login/oauth"'),
    "gpg": (
        "your GPG key, which signs tags, by its full primary fingerprint",
        f'fingerprint = "{"0123456789" * 4}"',
    ),
    "announcements": ("the repository of PEPs, and posts", 'peps = "ssh://…/peps.git"'),
    "announcements.peps": (
        "the repository of PEPs",
        'peps = "ssh://git@github.com/python/peps.git"',
    ),
    "announcements.host_keys": HOST_KEYS,
    "announcements.posts": (
        "what the addresses of posts begin with",
        'posts = ["https://discuss.python.org/"]',
    ),
    "people": ("the repository where requests and answers meet", 'meeting = "ssh://…/meeting.git"'),
    "people.meeting": (
        "the git repository where requests and answers meet",
        'meeting = "ssh://git@github.com/YOU/meeting.git"',
    ),
    "people.host_keys": HOST_KEYS,
}
"""What goes into a table of services, or a field of one, and how it is written."""
PARTS = tuple(name for name in HINTS if "." not in name)
OPTIONAL = {
    *("github.messages", "gpg.home", "announcements.blog", "cdn.service"),
    *("downloads.group", "docs.group"),
}


@dataclass(frozen=True)
class Gap:
    """Something that is left out of a table of the file (empty: above all tables).

    `example` is the line as it may be written, and begins with the key.
    """

    table: str
    what: str
    example: str

    def __str__(self) -> str:
        return f"{f'[{self.table}] ' * bool(self.table)}{self.example}: {self.what}"


def lacking(file: WorldFile, release: Release) -> Iterator[Gap]:
    """Yield what a production's file leaves out, in the order of the file's parts."""
    if not file.manager_email:
        what = "the address that you sign as with Sigstore, and that makes the commits"
        yield Gap("", what, 'manager_email = "you@python.org"')
    yield from _nameless(file, release)
    said = file.services.model_dump()
    for part in PARTS:
        if said[part] is None:
            what, example = HINTS[part]
            yield Gap(f"services.{part}", f"{what} (the whole table is missing)", example)
            continue
        for name, value in said[part].items():
            if f"{part}.{name}" not in OPTIONAL:
                yield from _empty(f"{part}.{name}", value)


def _empty(field: str, value: Any) -> Iterator[Gap]:  # noqa: ANN401 (whatever a field holds)
    """Yield what is empty of a field: itself, or entries of a table."""
    what, example = HINTS.get(field, ("", ""))
    if isinstance(value, dict):
        for name in (name for name, one in value.items() if one == ()):
            yield Gap(f"services.{field}", what, example.format(name))
    elif value in {None, "", ()}:
        yield Gap(f"services.{field.partition('.')[0]}", what, example)


def _nameless(file: WorldFile, release: Release) -> Iterator[Gap]:
    """Yield each person who decides in this release, and signs with nothing."""
    asked = {role for one in file.gates.values() for role in one} | set(file.waivers)
    asked |= {role for one in file.kinds.get(release.kind, {}).values() for role in one} | {MANAGER}
    for role in sorted(asked):
        person = file.people[role]
        for name in (person.name, *person.also):
            signs = person.identities.get(name, ())
            what = "what this person signs with"
            if role == MANAGER and signs and not any(_signs_here(file, one) for one in signs):
                signs = ()
                what = "at the notebook signs an SSH key, or the GPG key of services.gpg"
            if not signs:
                example = f'"{name}" = [{{ scheme = "ssh", key = "ssh-ed25519 AAAA…" }}]'
                yield Gap(f"people.{role}.identities", what, example)


def _signs_here(file: WorldFile, identity: Identity) -> bool:
    gpg = file.services.gpg
    return identity.scheme == "ssh" or (gpg is not None and identity.key == gpg.fingerprint)
