"""A C extension as a user would write one: it says which version's headers it was built with."""

from __future__ import annotations

import sys
from pathlib import Path

from relkit.building.job import Job

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


def build_probe(job: Job, prefix: Path) -> Path:
    """Build a C extension against the installed headers; return the folder it is in."""
    place = job.work("probe")
    (place / "probe.c").write_text(PROBE, encoding="ascii")
    include = prefix / "include" / f"python{job.version.series}"
    mac = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    # Interpreters accept a plain .so too, so that nobody has to be asked for the suffix.
    output = ["-o", "relkit_probe.so"]
    job.run(["cc", "-shared", "-fPIC", *mac, f"-I{include}", *output, "probe.c"], cwd=place)
    return place
