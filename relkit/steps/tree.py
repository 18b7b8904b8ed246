"""Prepare: look at the tree that is to be released."""

from __future__ import annotations

from functools import partial

from relkit.plan import Check, Plan
from relkit.ports import World
from relkit.release import Release, Version
from relkit.step import Results, step
from relkit.steps.freeze import choose_base
from relkit.steps.prepare import HERE, PHASE

MAGIC_HEADER_SINCE = 14
REGEN_SCRIPT_SINCE = 12


@step(phase=PHASE, where=HERE, after=[choose_base])
def check_tree(release: Release, world: World, results: Results) -> Plan:
    """Look at the tree.

    What has to be right before anything is edited: the version that stands there, the magic number
    of compiled files (from 3.14 on, and from the first candidate on), the address the docs give for
    sources, the years of the copyright, and that continuous integration found `configure` and the
    other generated files up to date *for this commit*. What is wrong is put right on the branch by
    a pull request, and the run begins anew from there. relkit does not regenerate `configure`
    itself: output of another autoconf than the pinned one must never be committed.
    """
    head = results[choose_base].commit
    text = partial(world.repo.read_text, commit=head)
    yield from _follows(release, text(path="Include/patchlevel.h"))
    yield from _magic_number(
        release,
        text(path="Include/internal/pycore_magic_number.h"),
        text(path="Lib/test/test_importlib/test_util.py"),
    )
    where = text(path="Doc/tools/extensions/pyspecific.py") or text(path="Doc/conf.py") or ""
    yield Check(
        f"the docs' source links lead to {release.branch}",
        f"/tree/{release.branch}/" in where,
        code="SOURCE_URI",
        remedy="Correct SOURCE_URI in Doc/tools/extensions/pyspecific.py.",
        warns=True,
    )
    year, readme = str(release.day.year), text(path="README.rst") or ""
    yield Check(
        f"the copyright in README.rst reaches {year}",
        f"-{year} Python" in readme or f"2001-{year}" in readme,
        code="COPYRIGHT_YEAR",
        remedy="Have the years brought up to date on the branch.",
        warns=True,
    )
    runs = {run.name: run.conclusion for run in world.tracker.commit_checks(commit=head)}
    generated = runs.get("Check if generated files are up to date")
    yield Check(
        f"generated files are up to date at {head:.12}",
        None if generated is None else generated == "success",
        found=f"continuous integration: {generated or 'no such check'}",
        code="REGEN_MISMATCH",
        remedy=f"Have them regenerated on the branch with {_autoconf(release)}, or waive this.",
        waivable=True,
    )


def _autoconf(release: Release) -> str:
    """Say what regenerates `configure` of a tree exactly as it was made before."""
    if release.version.minor >= REGEN_SCRIPT_SINCE:
        return "Tools/build/regen-configure.sh of the tree, which pins its container"
    return "autoconf 2.69 in the container that devguide names for 3.11 and older"


def _follows(release: Release, header: str | None) -> Plan:
    found = ""
    for line in (header or "").splitlines():
        if line.startswith("#define PY_VERSION ") and line.count('"') == 2:  # noqa: PLR2004
            found = line.split('"')[1]
    follows: bool | None = None
    if found:
        before = Version.of_tree(found)
        follows = before < release.version and before.series == release.version.series
    yield Check(
        f"{release.version} follows the version of the tree",
        follows,
        found=f"Include/patchlevel.h has {found or 'none'}",
        code="VERSION_ORDER",
        remedy="Correct the version that is to be released, or look at the branch.",
    )


def _magic_number(release: Release, header: str | None, test: str | None) -> Plan:
    if release.version.minor < MAGIC_HEADER_SINCE or release.version.level in {"a", "b"}:
        return  # the two differ until the first candidate; a check that always warns is none
    defined = _number_after(header or "", "#define PYC_MAGIC_NUMBER")
    expected = _number_after(test or "", "EXPECTED_MAGIC_NUMBER =")
    yield Check(
        "the magic number is the one the tests expect",
        defined is not None and defined == expected,
        found=f"defined {defined}, expected {expected}",
        code="MAGIC_NUMBER",
        remedy="Put EXPECTED_MAGIC_NUMBER right on the branch, or find out why the number moved.",
    )


def _number_after(text: str, marker: str) -> str | None:
    for line in text.splitlines():
        if line.strip().startswith(marker):
            return line.strip().removeprefix(marker).split("#")[0].strip() or None
    return None
