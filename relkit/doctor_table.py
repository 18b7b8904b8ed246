"""What the doctor looks at, in the order in which a release meets it (docs/production.md).

Each row says what it proves where it is well, and what it does not prove: that is still to be seen
to by a person.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One question; `seconds` is how long it may take, None: a person is asked and may think."""

    name: str
    proves: str
    leaves: str
    seconds: float | None = 60.0
    unknown: str = "Look at it by hand; then run this again."
    """What a person does where it could not be told how it stands."""


ROWS = (
    Row(
        "secrets",
        "the keys that the world's systems ask for can be had here",
        "that a system takes them",
        seconds=None,
    ),
    Row(
        "tools", "the programs are here, with these versions", "that a version is the one you want"
    ),
    Row(
        "environment",
        "packages and their files are those of the lock",
        "what compiled files hold",
        seconds=300,
    ),
    Row(
        "notebook",
        "nobody else reaches the kernel that the doctor runs in",
        "who reaches another one, in which you release",
        unknown="Start JupyterLab by `make lab`, and run the preflight step in its notebook.",
    ),
    Row(
        "signing",
        "you can log in as the policy's identity for Sigstore; GPG signs a text and is verified",
        "that Sigstore signs (its log is public: nothing is put there); a hardware key at hand",
        seconds=600,
    ),
    Row(
        "decisions",
        "who sits here signs as the policy names them",
        "that the others can: they try it with relkit decide",
        seconds=600,
    ),
    Row("GPG key", "it is here, and until when it is good", "that verifiers have its newest form"),
    Row(
        "two persons",
        "where two are asked for there are two, with different names and keys",
        "that two keys are in two hands",
    ),
    Row(
        "clock",
        "it is right to a minute, by the site's",
        "that it stays so",
        unknown="Compare it with a clock that you trust: date -u.",
    ),
    Row(
        "clocks elsewhere",
        "services and servers have the same time, to a minute",
        "the clocks of the buildbots' workers, and of experts' machines",
    ),
    Row(
        "scanner",
        "no installed package has a vulnerability that is known",
        "what nobody knows yet",
        seconds=300,
        unknown="Run it where the network lets it ask: pip-audit; or look at https://osv.dev/.",
    ),
    Row("disk", "there is room here for a clone, a build and the files", "what else fills it"),
    Row("certificates", "those of the sites are good, and until when", "who else has one for them"),
    Row(
        "GitHub account",
        "whom the token is of, until when it is good, and that nobody of this release has the same",
        "which rights the token has, see the rows below",
    ),
    Row("release data", "it can be read, and has the series", "that the series is in it rightly"),
    Row("messages", "messages of this run can be looked for", "that one can be sent"),
    Row("blockers", "the tracker lists them", "that they are labelled"),
    Row(
        "buildbots",
        "the master answers, and has stable builders for the branch",
        "that they build what comes tomorrow",
    ),
    Row("upstream", "it can be read, and has the branch", "that its head is what you release"),
    Row(
        "protection",
        "the protection of the branch can be read",
        "that it may be changed: look whether you have Settings, Rules in the browser",
    ),
    Row("fork", "it can be read", "that no tag of this version is there yet"),
    Row("push to fork", "its server takes pushes of yours", "what its rules say about a branch"),
    Row(
        "GitHub Actions: workflow",
        "it exists, is enabled, and names every action by a commit",
        "that it builds",
        seconds=120,
    ),
    Row(
        "GitHub Actions: start",
        "the token may dispatch: refused is only a branch that cannot be. Nothing is started",
        "that the inputs are called so",
    ),
    Row(
        "Azure Pipelines",
        "the pipeline is there, the token may try it, and it knows the parameters. No run is made",
        "approvals, agents, the certificate; until when the token is good: Azure does not say",
        unknown="Look at the pipeline in the browser, whether you have Run pipeline there.",
    ),
    Row(
        "uploads of experts",
        "their folders are there and can be read",
        "that the experts may write: have each put an empty folder there",
    ),
    Row(
        "room for downloads",
        "there is room for a release where staging and the public files are",
        "quotas of your account",
    ),
    Row("room for docs", "there is room for the docs", "quotas of your account"),
    Row(
        "staging",
        "a file can be written, stays whole, and can be removed",
        "that it can be moved to the public tree",
        seconds=300,
        unknown="Run this again: it takes away first what was left.",
    ),
    Row("docs server", "it can be read", "that docs can be put there"),
    Row("links of the docs", "they can be read", "that they can be changed"),
    Row("site, API v2", "it answers to its token", "that the token may write"),
    Row("site, API v1", "it answers", "that its key is taken, or may write"),
    Row("public site", "a stranger gets its pages", "what caches far away have"),
    Row(
        "purge of an address",
        "the cache forgets an address, which nobody has",
        "that its places far away do",
    ),
    Row(
        "purge key",
        "the key may purge this service by surrogate keys, and until when it is good",
        "that pages carry these keys",
    ),
    Row("push to meeting place", "its server takes pushes of yours", "that of the others"),
    Row("answers", "answers to requests can be looked for", "that people have seen requests"),
    Row(
        "push to upstream",
        "its server takes pushes of yours",
        "that the protection lets it through: it is lifted for the one push",
    ),
    Row("push to release data", "its server takes pushes of yours", "rules of its branch"),
    Row("push to blog", "its server takes pushes of yours", "rules of its branch"),
)
BY_NAME = {row.name: row for row in ROWS}
