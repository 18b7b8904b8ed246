"""The builds that try a source archive: ``test`` from the collected file, ``stranger`` from afar.

Both unpack it elsewhere, configure and make it; ``test`` goes on as its users would: tests,
installation, virtual environment, pip, and a C extension against the installed headers.
"""

from __future__ import annotations

import os
import re
import sys
import tarfile
from pathlib import Path

from relkit.building.archive import top_folder
from relkit.building.job import Job, checked_input
from relkit.errors import CheckError

TEST_NAME = re.compile(r"test_[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
TOTAL = re.compile(r"^Total tests: run=([\d,]+)(?: .*?failures=([\d,]+))?", re.MULTILINE)
FAILED = re.compile(r"^[0-9,]+ tests? failed(?: again)?:\n((?: {4}.*(?:\n|$))+)", re.MULTILINE)
RAN = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)
NAMED_VERSION = re.compile(r"[a-z]+-?(3\.\d+)")
STAMP = re.compile(r'^#define PY_VERSION\s+"([^"]*)"', re.MULTILINE)
PROBE = """\
#include <Python.h>

static PyObject *doubled(PyObject *module, PyObject *number)
{
    (void)module;
    return PyLong_FromLong(2 * PyLong_AsLong(number));
}

static PyObject *built_for(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyUnicode_FromString(PY_VERSION);
}

static PyMethodDef functions[] = {
    {"doubled", doubled, METH_O, NULL},
    {"built_for", built_for, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "relkit_probe", NULL, -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_relkit_probe(void)
{
    return PyModule_Create(&definition);
}
"""
ASK_PROBE = "import relkit_probe as probe; print(probe.doubled(21), probe.built_for())"


def tested(job: Job) -> None:
    """Build, test, install and use what is in the collected ``.tar.xz``.

    The option `tests` names the tests, between spaces. Facts: `version`, `tests_run`,
    `tests_failed`, `failures`, `selection`, `venv`, `pip`, `extension`, and the seconds of each
    part. Where tests fail, the build is done with that: nothing is installed or tried.
    """
    prefix = job.folder / "work" / "prefix"
    with job.part("unpack"), checked_input(job, job.input(".tar.xz")) as archive:
        tree = _unpacked(job, archive)
    python = _made(job, tree, prefix)
    if not _run_tests(job, python):
        return
    with job.part("install"):
        job.run(["make", "install"], cwd=tree)
    _check_names(job, prefix)
    _use(job, prefix)


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
    if not hasattr(tarfile, "data_filter"):
        raise CheckError(
            f"Python {sys.version.split()[0]} unpacks archives without looking at the names in it",
            code="PYTHON_TOO_OLD",
            remedy="Use Python 3.11.4 or newer.",
        )
    folder = job.work("unpacked")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / top_folder(job.version)


def _made(job: Job, tree: Path, prefix: Path) -> Path:
    """Configure and make; return the new interpreter, which must state the release's version."""
    with job.part("configure"):
        job.run(["./configure", f"--prefix={prefix}"], cwd=tree)
    with job.part("make"):
        job.run(["make", f"-j{_cores()}"], cwd=tree)
    # On a file system that ignores case, `python` is the folder `Python`.
    python = next(path for path in (tree / "python", tree / "python.exe") if path.is_file())
    _check_stamp(job, "the interpreter", job.ask([python, "-V"], cwd=tree))
    job.facts.update({"version": str(job.version), "configure": ("--prefix",), "jobs": _cores()})
    return python


def _cores() -> int:
    return os.cpu_count() or 1


def _check_stamp(job: Job, what: str, found: str) -> None:
    if found.removeprefix("Python ") != str(job.version):
        raise CheckError(
            f"{what} says {found!r}, not {job.version}",
            code="VERSION_STAMP",
            remedy="The archive was made from another tree than it should.",
        )


def _run_tests(job: Job, python: Path) -> bool:
    """Run the selection and state how it went; return whether all of it passed."""
    names = job.options.get("tests", "").split()
    if not names or not all(TEST_NAME.fullmatch(name) for name in names):
        raise CheckError(
            f"{' '.join(names)[:80]!r} is not a selection of tests",
            code="TEST_SELECTION",
            remedy="Name tests such as test_int, with spaces between them.",
        )
    command = [str(python), "-m", "test", f"-j{_cores()}", *names]
    with job.part("tests"):
        status, said = job.attempt(command, cwd=python.parent)
    run, counted = test_counts(said)
    # A test file that crashed has failed, and is in no count of tests.
    failed = max(counted, 1) if status else counted
    if not run and not failed:
        raise CheckError(
            f"no test ran: {' '.join(names)}",
            code="TESTS_EMPTY",
            remedy="Read the build's log; tests that do not run prove nothing.",
        )
    job.facts.update({"tests_run": run, "tests_failed": failed, "selection": tuple(names)})
    job.facts["failures"] = failed_tests(said)
    return not failed


def test_counts(said: str) -> tuple[int, int]:
    """Return how many tests ran and failed, from what ``python -m test`` says.

    Its last line of totals counts; before 3.12 there are only unittest's own lines.
    """
    totals = TOTAL.findall(said)
    if totals:
        run, failed = totals[-1]
        return _number(run), _number(failed)
    return sum(int(count) for count in RAN.findall(said)), 0


def failed_tests(said: str) -> tuple[str, ...]:
    """Return the test files that ``python -m test`` lists as failed at its end."""
    lists = FAILED.findall(said)
    return tuple(lists[-1].split()) if lists else ()


def _number(text: str) -> int:
    return int(text.replace(",", "") or 0)


def _check_names(job: Job, prefix: Path) -> None:
    """Look for other versions in what was installed: names, and the header's own word."""
    series = job.version.series
    header = prefix / "include" / f"python{series}" / "patchlevel.h"
    stamp = STAMP.search(header.read_text(encoding="utf-8"))
    _check_stamp(job, header.name, stamp[1] if stamp else "")
    names = [
        path.name for folder in ("bin", "include", "lib") for path in prefix.glob(f"{folder}/*")
    ]
    alien = [name for name in names if (found := NAMED_VERSION.match(name)) and found[1] != series]
    if alien:
        raise CheckError(
            f"the installation of {job.version} holds {', '.join(alien)}",
            code="OTHER_VERSION",
            remedy="Find where the other version's name comes from (as in cpython #138067).",
        )


def _use(job: Job, prefix: Path) -> None:
    """Do what users do first: a virtual environment, pip, a C extension."""
    python = prefix / "bin" / f"python{job.version.series}"
    _check_stamp(job, "the installed interpreter", job.ask([python, "-V"], cwd=prefix))
    folder = job.folder / "work" / "venv"
    with job.part("venv"):
        job.run([python, "-m", "venv", folder], cwd=prefix)
        inside = folder / "bin" / "python"
        pip = job.ask([inside, "-m", "pip", "--version"], cwd=folder)
    job.facts.update({"venv": "made", "pip": " ".join(pip.split()[:2])})
    with job.part("extension"):
        place = _built_probe(job, prefix)
        answer = job.ask([inside, "-c", ASK_PROBE], cwd=place, extra={"PYTHONPATH": str(place)})
    if answer != f"42 {job.version}":
        raise CheckError(
            f"the C extension answers {answer!r}, not '42 {job.version}'",
            code="EXTENSION_FAILED",
            remedy="Look at the installed headers, and for which version they are.",
        )
    job.facts["extension"] = answer


def _built_probe(job: Job, prefix: Path) -> Path:
    """Build a C extension against the installed headers; return the folder it is in."""
    place = job.work("probe")
    (place / "probe.c").write_text(PROBE, encoding="ascii")
    include = prefix / "include" / f"python{job.version.series}"
    mac = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    # Interpreters accept a plain .so too, so that nobody has to be asked for the suffix.
    output = ["-o", "relkit_probe.so"]
    job.run(["cc", "-shared", "-fPIC", *mac, f"-I{include}", *output, "probe.c"], cwd=place)
    return place
