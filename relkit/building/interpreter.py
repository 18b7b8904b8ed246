"""The builds that try a source archive: ``test`` from the collected file, ``stranger`` from afar.

Both unpack it elsewhere, configure and make it; ``test`` goes on as its users would: tests,
installation, virtual environment, pip, and a C extension against the installed headers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from relkit.building import counting, naming
from relkit.building.archive import top_folder
from relkit.building.job import Job, checked_input
from relkit.building.probe import ASK_PROBE, build_probe
from relkit.building.unpack import unpack
from relkit.errors import CheckError

TEST_NAME = re.compile(r"test_[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
SHOWN = 5
NOWHERE = "http://127.0.0.1:9/"
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_CONFIG_FILE": os.devnull,
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE),
}
"""An installation gets the pip that is in the archive: whatever asks a network fails."""


def tested(job: Job) -> None:
    """Build, test, install and use what is in the collected ``.tar.xz``.

    The option `tests` names the tests, between spaces. Facts: `version`, `selection`,
    `tests_expected`, `tests_run`, `tests_skipped`, `tests_failed`, `failures`, `files_selected`,
    `files_run`, `files_skipped`, `venv`, `pip`, `extension`, and the seconds of each part. Where
    tests fail, the build is done with that: nothing is installed or tried.
    """
    prefix = job.folder / "work" / "prefix"
    with job.part("unpack"), checked_input(job, job.input(".tar.xz")) as archive:
        tree = _unpacked(job, archive)
    python = _made(job, tree, prefix)
    with job.part("tests"):
        passed = run_tests(job, python)
    if not passed:
        return
    with job.part("install"):
        job.run(["make", "install"], cwd=tree, extra=_as_users() | OFFLINE)
    naming.check_installation(job.version, prefix)
    use(job, prefix)


def tried_as_stranger(job: Job) -> None:
    """Download the archive from the public side, build it and ask for its version.

    The option `path` is its path on the site; digest and size are those of the input.
    """
    from relkit.building.download import download  # noqa: PLC0415 (HTTP, for this build alone)

    given = job.input(".tar.xz")
    with job.part("download"):
        archive = download(job, given, job.options["path"])
    with job.part("unpack"):
        tree = _unpacked(job, archive)
    _made(job, tree, job.folder / "work" / "prefix")
    job.facts.update({"path": job.options["path"], "sha256": given.sha256})


def _unpacked(job: Job, archive: Path) -> Path:
    tree = unpack(archive, job.work("unpacked"), top_folder(job.version))
    naming.check_tree(job.version, tree)
    return tree


def _made(job: Job, tree: Path, prefix: Path) -> Path:
    """Configure and make; return the new interpreter, which must state the release's version."""
    with job.part("configure"):
        job.run(["./configure", f"--prefix={prefix}"], cwd=tree)
    with job.part("make"):
        job.run(["make", f"-j{_cores()}"], cwd=tree)
    # On a file system that ignores case, `python` is the folder `Python`.
    python = tree / ("python" if (tree / "python").is_file() else "python.exe")
    said = job.ask([python, "-V"], cwd=tree, extra=_as_users())
    naming.check_stamp(job.version, "the interpreter", said.removeprefix("Python "))
    job.facts.update({"version": str(job.version), "configure": ("--prefix",), "jobs": _cores()})
    return python


def _as_users() -> dict[str, str]:
    """Return settings, all empty, which users have not: they are for the build's own process.

    Tests write the whole environment into the log when one of them changes it.
    """
    names = ("PYTHONIOENCODING", *os.environ)
    own = re.compile(r"PYTHON.*|PIP_.*|.*_proxy", re.IGNORECASE)
    return {name: "" for name in names if own.fullmatch(name)}


def _cores() -> int:
    return os.cpu_count() or 1


def run_tests(job: Job, python: Path) -> bool:
    """Run the selection and state how it went; return whether all of it passed.

    Refused (``TESTS_EMPTY``, ``TESTS_MISSING``, ``TESTS_SKIPPED``) is a run that passes and leaves
    out cases which the interpreter listed before, or of which a part proves nothing.
    """
    names = _selection(job)
    listing = [_test(job, python, option, *names) for option in ("--list-tests", "--list-cases")]
    files = counting.listed_files(listing[0][1])
    path = job.folder / "work" / "tests.xml"
    status, said = _test(job, python, f"-j{_cores()}", f"--junit-xml={path}", *names)
    report = _report(path)
    listed = counting.listed_cases(listing[1][1], report.began)
    found = counting.account(said, files, listed, report)
    # A test file that crashed has failed, and is in no count of tests.
    failed = max(report.failed, counting.failures_said(said), int(status != 0))
    if not failed:
        _check_account(found, names, files)
    _state(job, found, files)
    job.facts.update({"tests_failed": failed, "failures": counting.failed_files(said)})
    job.facts["selection"] = tuple(names)
    return not failed


def _selection(job: Job) -> list[str]:
    names = job.options.get("tests", "").split()
    if not names or not all(TEST_NAME.fullmatch(name) for name in names):
        raise CheckError(
            f"{' '.join(names)[:80]!r} is not a selection of tests",
            code="TEST_SELECTION",
            remedy="Name tests such as test_int, with spaces between them.",
        )
    return names


def _test(job: Job, python: Path, *words: str) -> tuple[int, str]:
    command = [str(python), "-m", "test", *words]
    return job.attempt(command, cwd=python.parent, extra=_as_users())


def _report(path: Path) -> counting.Report:
    try:
        return counting.read_report(path)
    except ET.ParseError as error:
        raise CheckError(
            f"the report of the tests cannot be read: {error}",
            code="TESTS_EMPTY",
            remedy="Read the build's log; the run was cut short.",
        ) from error


def _state(job: Job, found: counting.Account, files: Sequence[str]) -> None:
    counts = {"tests_expected": found.expected, "tests_run": found.run}
    job.facts.update({**counts, "tests_skipped": found.skipped, "files_selected": len(files)})
    job.facts.update({"files_run": len(files) - len(found.idle), "files_skipped": found.idle})


def _check_account(found: counting.Account, names: Sequence[str], files: Sequence[str]) -> None:
    """Refuse a run that passed and proves less than it should."""
    if not found.expected or not found.run:
        raise CheckError(
            f"no test ran: {' '.join(names)}; {found.expected} expected, {found.run} run",
            code="TESTS_EMPTY",
            remedy="Read the build's log; tests that do not run prove nothing.",
        )
    if found.missing:
        counts = f"{found.expected} expected, {found.run} run, {found.skipped} skipped"
        raise CheckError(
            f"{counts}; missing: {' '.join(found.missing[:SHOWN])}",
            code="TESTS_MISSING",
            remedy="Find in the build's log what ended these tests before they began.",
        )
    proved = {counting.module(file) for file in files if file not in found.idle}
    idle = [name for name in names if not _within(proved, counting.module(name))]
    if idle:
        raise CheckError(
            f"nothing ran of {' '.join(idle)}: all of it was skipped",
            code="TESTS_SKIPPED",
            remedy="Install what these tests need, or take them out of the world's selection.",
        )


def _within(modules: set[str], name: str) -> bool:
    return any(f"{module}.".startswith(f"{name}.") for module in modules)


def use(job: Job, prefix: Path) -> None:
    """Do what users do first: a virtual environment, pip, a C extension."""
    python = prefix / "bin" / f"python{job.version.series}"
    alone = _as_users() | OFFLINE
    said = job.ask([python, "-V"], cwd=prefix, extra=alone)
    naming.check_stamp(job.version, "the installed interpreter", said.removeprefix("Python "))
    folder = job.folder / "work" / "venv"
    with job.part("venv"):
        job.run([python, "-m", "venv", folder], cwd=prefix, extra=alone)
        inside = folder / "bin" / "python"
        pip = job.ask([inside, "-m", "pip", "--version"], cwd=folder, extra=alone)
    job.facts.update({"venv": "made", "pip": " ".join(pip.split()[:2])})
    with job.part("extension"):
        place = build_probe(job, prefix)
        answer = job.ask(
            [inside, "-c", ASK_PROBE], cwd=place, extra=alone | {"PYTHONPATH": str(place)}
        )
    if answer != f"42 {job.version}":
        raise CheckError(
            f"the C extension answers {answer!r}, not '42 {job.version}'",
            code="EXTENSION_FAILED",
            remedy="Look at the installed headers, and for which version they are.",
        )
    job.facts["extension"] = answer
