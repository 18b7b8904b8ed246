"""Notebooks for tests, as plain JSON and with types."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

from relkit.render import METADATA

Notebook = Any  # nbformat has no types
_reads: Callable[..., Notebook] = nbformat.reads
_writes: Callable[..., str] = nbformat.writes


def read(path: Path) -> Notebook:
    """Return a notebook file."""
    return _reads(path.read_text(), as_version=4)


def write(path: Path, nb: Notebook) -> Path:
    """Write a notebook file, and return where."""
    path.write_text(_writes(nb, version=4))
    return path


def text(name: str, source: str) -> dict[str, Any]:
    """Return a cell of prose."""
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def code(name: str, source: str, *outputs: dict[str, Any], tags: str = "") -> dict[str, Any]:
    """Return a cell of code."""
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {"tags": [tags]} if tags else {},
        "source": source,
        "execution_count": None,
        "outputs": list(outputs),
    }


def shown(**data: str) -> dict[str, Any]:
    """Return an output; `text_html` stands for the media type ``text/html``."""
    bundle = {name.replace("_", "/", 1).replace("_", "-"): value for name, value in data.items()}
    return {"output_type": "display_data", "metadata": {}, "data": bundle}


def notebook(*cells: dict[str, Any]) -> Notebook:
    """Return a notebook of these cells."""
    whole = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    return _reads(json.dumps(whole), as_version=4)


def asked(*sources: str) -> Notebook:
    """Return a notebook which begins as a release notebook does, then has `cell-0`, `cell-1` …"""
    first = [text("about", "# About"), code("parameters", 'version = ""', tags="parameters")]
    return notebook(*first, *(code(f"cell-{n}", source) for n, source in enumerate(sources)))
