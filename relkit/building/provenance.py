"""Provenance: what a build says about how its files were made, and the check of that (T17).

An in-toto statement with the predicate of SLSA, https://slsa.dev/provenance/v1. Every build that
delivers files makes one; a build that only judges files makes none, what it found is in its facts.
In it there is no time, path, host or person: the same build gives the same bytes, and the times
stand in the ledger.

The URIs of build types and builders name things, and lead nowhere: ``.invalid`` is a domain that
will never exist (RFC 6761), and relkit has no public home yet. What they stand for is said here.

A build type ``https://relkit.invalid/build/<name>/v1`` is the build of that name in
`relkit.building.builder.PROGRAMS`, or of the world. Its `externalParameters` are all that a build
is told: `version` of Python, `commit` (git's id), `options` (words by name) and `inputs` (SHA-256
by file name). `internalParameters` are settings that come from the build itself.
`resolvedDependencies` are the commit, with the ref it was tagged by, the inputs, and the tools on
which the files depend, with their versions. Whether a builder's word is worth something depends on
who can sign as that builder: the statement alone proves nothing.

Builds elsewhere state nothing in this form: relkit writes what it observed (`form` begins with
`OBSERVED`, `observer` says who; of an upload `uploader` says from which account). Version and
commit are what the service, or an expert's list, says; options are what was asked for; files and
digests are what came. Tools are none unless the service names them, and nothing is said of the
builder's own parts, which nobody here can see.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from relkit.building.statement import Named, Subject, read_statement, refuse, statement
from relkit.errors import CheckError

if TYPE_CHECKING:
    from relkit.building.job import Job
    from relkit.values import Build

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
HOME = "https://relkit.invalid"
LOCAL_BUILDER = f"{HOME}/builder/process-of-the-release-machine/v1"
"""A process of the machine that makes the release, with its user's rights: isolated from nobody
there. Whoever holds the machine can make it say anything; SLSA build level 1."""
COMMAND_LINE = f"{HOME}/builder/relkit-command-line/v1"
"""``relkit export`` on whatever machine, run by anybody: no release relies on its word."""
TOOLS: Mapping[str, str] = {
    **dict.fromkeys(("blurb", "sphinx"), "pypi"),
    **dict.fromkeys(("git", "gzip", "liblzma", "make", "makeinfo", "python", "zlib"), "generic"),
}
"""The facts that state a tool's version, and the type of its package URL."""
OBSERVED = "observed by relkit, not signed by the builder"
SETTINGS = ("form", "mtime", "observer", "source_date_epoch", "tar", "uploader")
"""The facts that state a setting of the build."""
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)+[A-Za-z0-9.+-]*")


@dataclass(frozen=True)
class Provenance:
    """What a statement says, in order of name; `platform` are parts of the builder itself."""

    subjects: tuple[Subject, ...]
    build_type: str
    version: str
    commit: str
    options: Mapping[str, str]
    inputs: Mapping[str, str]
    settings: Mapping[str, str]
    tools: Mapping[str, str]
    builder: str
    platform: Mapping[str, str]
    invocation: str

    @property
    def line(self) -> str:
        """What it says, in one line for people."""
        tools = ", ".join(f"{name} {version}" for name, version in sorted(self.tools.items()))
        tag = self.options.get("tag", "no tag")
        made = f"commit {self.commit} ({tag}), built by {self.builder}"
        if self.settings.get("form", "").startswith(OBSERVED):
            by = f", uploaded by {self.settings['uploader']}" if "uploader" in self.settings else ""
            return f"{made}{by}; {OBSERVED}, which states {tools or 'no tools'}"
        return f"{made}, with {tools}" if tools else f"{made}, which states no tools"

    @property
    def predicate(self) -> dict[str, object]:
        """The predicate of SLSA."""
        return {
            "buildDefinition": {
                "buildType": self.build_type,
                "externalParameters": {
                    "version": self.version,
                    "commit": self.commit,
                    "options": self.options,
                    "inputs": self.inputs,
                },
                "internalParameters": self.settings,
                "resolvedDependencies": self._dependencies(),
            },
            "runDetails": {
                "builder": {"id": self.builder, "version": self.platform},
                "metadata": {"invocationId": self.invocation},
            },
        }

    def _dependencies(self) -> list[Mapping[str, object]]:
        ref = f"refs/tags/{self.options['tag']}" if "tag" in self.options else "HEAD"
        return [
            {"name": ref, "digest": {"gitCommit": self.commit}},
            *(
                {"name": name, "digest": {"sha256": sha256}}
                for name, sha256 in sorted(self.inputs.items())
            ),
            *(
                {"name": name, "uri": _package_url(name, version)}
                for name, version in sorted(self.tools.items())
            ),
        ]


def build_type(name: str) -> str:
    """Return the URI of what a build of this name does."""
    return f"{HOME}/build/{name}/v1"


def provenance(
    asked: Job | Build,
    files: Iterable[Named],
    facts: Mapping[str, object],
    *,
    builder: str = LOCAL_BUILDER,
) -> str:
    """Return the statement about the files of a build, made here; of its facts it tells a few."""
    here = {"python": platform.python_version(), "relkit": installed_version("relkit")}
    if observed := str(facts.get("form", "")).startswith(OBSERVED):
        facts = {**facts, "observer": " ".join(f"{name} {part}" for name, part in here.items())}
    stated = {name: NUMBER.search(str(facts.get(name, ""))) for name in TOOLS}
    made = Provenance(
        subjects=_subjects(files),
        build_type=build_type(asked.name),
        version=str(asked.version),
        commit=asked.commit,
        options=asked.options,
        inputs=_digests(asked.inputs),
        settings={name: str(facts[name]) for name in SETTINGS if name in facts},
        tools={name: found[0] for name, found in stated.items() if found},
        builder=builder,
        platform={} if observed else here,
        invocation=_invocation(asked),
    )
    return statement(made.subjects, predicate_type=PREDICATE_TYPE, predicate=made.predicate)


def read_provenance(text: str) -> Provenance:
    """Read a statement as relkit's builders write it.

    Raises `CheckError`: ``PROVENANCE_MISSING`` for an empty text, ``STATEMENT_INVALID``.
    """
    if not text:
        raise CheckError(
            "the build says nothing about how it made its files",
            code="PROVENANCE_MISSING",
            remedy="Have it built where builds state it.",
        )
    read = read_statement(text, predicate_type=PREDICATE_TYPE)
    try:
        found = _read(read.subjects, read.predicate)
    except (KeyError, TypeError) as error:
        refuse(f"its predicate lacks or misuses {error}", error)
    # Every field again from what was read: whatever was not read, or was said twice and
    # differently, shows.
    if found.predicate != read.predicate:
        refuse("its predicate contradicts itself, or has fields which no build of relkit writes")
    return found


def check_provenance(
    text: str, *, build: Build, files: Iterable[Named], builder: str | None
) -> None:
    """Compare a statement with what was asked for and what was delivered.

    `build` and `builder` come from the plan and the policy, never from the statement; without
    `builder` nobody is known to make this build. Raises `CheckError`: what `read_provenance`
    raises, and ``PROVENANCE_TYPE``, ``…_BUILDER``, ``…_SOURCE``, ``…_PARAMETERS``, ``…_SUBJECT``.
    """
    found = read_provenance(text)
    tag = build.options.get("tag", "no tag")
    for code, what, said, wanted in (
        ("TYPE", "build type", found.build_type, build_type(build.name)),
        ("BUILDER", "builder", found.builder, builder or "one that the policy names"),
        ("SOURCE", "commit", found.commit, build.commit),
        ("SOURCE", "tag", found.options.get("tag", "no tag"), tag),
        ("PARAMETERS", "version", found.version, str(build.version)),
        ("PARAMETERS", "options", found.options, build.options),
        ("PARAMETERS", "inputs", found.inputs, _digests(build.inputs)),
        ("PARAMETERS", "invocation", found.invocation, _invocation(build)),
        ("SUBJECT", "files", _digests(found.subjects), _digests(files)),
    ):
        if said != wanted:
            raise CheckError(
                f"the provenance of {build.name} has the {what} {_shown(said, wanted)}, "
                f"not {_shown(wanted, said)}",
                code=f"PROVENANCE_{code}",
                remedy="Use nothing of this build; find out what it was really made from.",
            )


def _read(subjects: tuple[Subject, ...], predicate: Mapping[str, object]) -> Provenance:
    """Take the fields out of a predicate; KeyError or TypeError where one is not as it should."""
    definition, run = _inside(predicate, "buildDefinition"), _inside(predicate, "runDetails")
    told, builder = _inside(definition, "externalParameters"), _inside(run, "builder")
    listed = definition["resolvedDependencies"]
    if not isinstance(listed, list):
        raise TypeError("resolvedDependencies")
    return Provenance(
        subjects=subjects,
        build_type=_text(definition, "buildType"),
        version=_text(told, "version"),
        commit=_text(told, "commit"),
        options=_words(told, "options"),
        inputs=_words(told, "inputs"),
        settings=_words(definition, "internalParameters"),
        tools=dict(_tool(one) for one in listed if isinstance(one, dict) and "uri" in one),
        builder=_text(builder, "id"),
        platform=_words(builder, "version"),
        invocation=_text(_inside(run, "metadata"), "invocationId"),
    )


def _inside(data: Mapping[str, object], field: str) -> dict[str, object]:
    found = data[field]
    if not isinstance(found, dict):
        raise TypeError(field)
    return found


def _text(data: Mapping[str, object], field: str) -> str:
    found = data[field]
    if not isinstance(found, str):
        raise TypeError(field)
    return found


def _words(data: Mapping[str, object], field: str) -> dict[str, str]:
    found = _inside(data, field)
    return {name: _text(found, name) for name in found}


def _tool(data: Mapping[str, object]) -> tuple[str, str]:
    name = _text(data, "name")
    if name not in TOOLS:
        raise KeyError(name)
    return name, unquote(_text(data, "uri").rpartition("@")[2])


def _package_url(name: str, version: str) -> str:
    return f"pkg:{TOOLS[name]}/{name}@{quote(version, safe='')}"


def _subjects(files: Iterable[Named]) -> tuple[Subject, ...]:
    found = (Subject(one.name, one.sha256) for one in files)
    return tuple(sorted(found, key=lambda one: one.name))


def _digests(files: Iterable[Named]) -> dict[str, str]:
    return {one.name: one.sha256 for one in files}


def _invocation(asked: Job | Build) -> str:
    return f"{asked.nonce}/{asked.name}"


def _shown(value: object, other: object) -> str:
    """Return a value in words; of two objects what the other one has not."""
    if isinstance(value, dict) and isinstance(other, dict):
        parts = [f"{name} {said}" for name, said in value.items() if other.get(name) != said]
        return ", ".join(parts)[:300] or "none of these"
    return str(value)
