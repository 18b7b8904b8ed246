"""What the Windows release pipeline is told, and what it may never be told (T21).

The values are strings, also of what the pipeline reads as true or false. Publishing is relkit's:
a run that published by itself would do so before the other builds are there (I47).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from relkit.errors import CheckError
from relkit.values import Build

REAL_CERTIFICATE = "PythonSoftwareFoundation"
TRIAL_CERTIFICATES = ("Unsigned", "TestSign")
OURS = ("GitRemote", "GitRemote_Other", "SourceTag", "SourceCommit", "DoPublish")
REBUILDS = ("BuildToPublish", "BuildToPackage")
"""They name the run whose files are used instead of building; ``current`` is the run itself."""
FULL_COMMIT = re.compile(r"[0-9a-f]{40}")
REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
SAME = frozenset({"true", "false"})


def parameters_of(
    build: Build, *, git_remote: str, fixed: Mapping[str, str], production: bool
) -> dict[str, str]:
    """Return what the pipeline is started with. Raises `CheckError` (``WIN_PARAMS``).

    `fixed` are the parameters of the world's file; without one for it, the certificate is the real
    one in production, and none elsewhere.
    """
    tag = build.options.get("tag", "")
    told = {
        "GitRemote": git_remote,
        "SourceTag": tag,
        "SourceCommit": build.commit,
        "DoPublish": "false",
    }
    for name in fixed:
        if name in OURS:
            refuse(name, fixed[name], told.get(name, "nothing: relkit sets it"))
    certificate = REAL_CERTIFICATE if production else TRIAL_CERTIFICATES[0]
    told = {"SigningCertificate": certificate, **fixed, **told}
    if tag != f"v{build.version}":
        refuse("SourceTag", tag, f"v{build.version}")
    if not REMOTE.fullmatch(git_remote):
        refuse("GitRemote", git_remote, "the short name of a remote")
    check_parameters(told, told, production=production)
    return told


def check_parameters(
    found: Mapping[str, str], asked: Mapping[str, str], *, production: bool
) -> None:
    """Refuse (``WIN_PARAMS``) what a run must not be told, and what differs from what was asked.

    `found` may have more names than were asked for: the pipeline's own defaults.
    """
    for name, wanted in asked.items():
        if not _equal(found.get(name), wanted):
            refuse(name, found.get(name), wanted)
    if not FULL_COMMIT.fullmatch(found.get("SourceCommit", "")):
        refuse("SourceCommit", found.get("SourceCommit"), "a full commit id")
    if not _equal(found.get("DoPublish"), "false"):
        refuse("DoPublish", found.get("DoPublish"), "false")
    for name in REBUILDS:
        if found.get(name, "current") != "current":
            refuse(name, found[name], "current")
    if found.get("GitRemote_Other", ""):
        refuse("GitRemote_Other", found["GitRemote_Other"], "nothing")
    allowed = (REAL_CERTIFICATE,) if production else TRIAL_CERTIFICATES
    if found.get("SigningCertificate") not in allowed:
        refuse("SigningCertificate", found.get("SigningCertificate"), " or ".join(allowed))


def refuse(name: str, found: str | None, wanted: str) -> None:
    """Raise the refusal of a parameter."""
    said = "missing" if found is None else ascii(found)[:100]
    raise CheckError(
        f"the parameter {name} of the Windows pipeline is {said}, not {wanted}",
        code="WIN_PARAMS",
        remedy="Correct the parameters in the world's file; use nothing of a run with other ones.",
    )


def _equal(found: str | None, wanted: str) -> bool:
    """Compare as the pipeline does: true and false in whatever case, all else exactly."""
    if found is not None and wanted.lower() in SAME:
        return found.lower() == wanted.lower()
    return found == wanted
