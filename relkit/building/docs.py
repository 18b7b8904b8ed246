"""The documentation of a commit as archives to download: the build ``docs``.

The commit's own ``Doc/Makefile`` makes the content, with the Sphinx that the tree pins; what is
delivered is packed here, since archives made with tar and zip would carry the clock, the user and
the order of a folder. PDF is not made: the expected set has none, and older trees have it only in
their target ``dist``, which is not used for that reason.

Trees have warnings of Sphinx end the build, a rule for changes: for 3.13.0a5 it refuses the EPUB,
over an entry that is in a table of contents twice. Here they are counted instead.

Equal bytes at every build are as good as Sphinx's own. It takes times from ``SOURCE_DATE_EPOCH``,
gets the line "Last updated" in full (conf.py of 3.13.0a5 reads the clock for it), and reads in one
process, since the order in which several end changes the table of audit events. Left over is what
else an extension of a tree reads from the clock, and zlib, whose versions compress differently.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from relkit.building.archive import Form
from relkit.building.docs_archives import FORMS, Content, check_epub, examined, pack, repack_epub
from relkit.building.docs_environment import docs_environment, docs_lock, installed, listed
from relkit.building.docs_epubcheck import epubcheck
from relkit.building.job import Job
from relkit.building.objects import Objects
from relkit.building.source import blurb_command
from relkit.errors import CheckError, WorldError

TARGETS = re.compile(r"^([a-z][a-z -]*):(?!=)", flags=re.MULTILINE)
SHOWN = 20  # places that are named in a fact
WARNINGS = "build/relkit-warnings.txt"


@dataclass(frozen=True)
class Doc:
    """The folder ``Doc`` of the checked out commit, and how its Makefile is called."""

    folder: Path
    targets: frozenset[str]
    makes_info: bool
    """It also has ``makeinfo`` make Info files; in older trees that is part of ``dist`` alone."""
    settings: tuple[str, ...]
    surroundings: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)

    def make(self, job: Job, *words: str) -> None:
        """Run one target, and keep what Sphinx warned of."""
        command = ["make", "-C", str(self.folder), *words, *self.settings]
        job.run(command, cwd=self.folder, extra=self.surroundings)
        said = self.folder / WARNINGS
        if said.is_file():
            text = said.read_text(encoding="utf-8", errors="replace")
            lines = text.replace(f"{self.folder}/", "").splitlines()
            self.warnings.extend(line[:200] for line in lines if "WARNING:" in line)
            said.unlink()


def documented(job: Job) -> None:
    """Deliver ``python-<version>-docs-{html,text,texinfo}.{tar.bz2,zip}`` and ``….epub``.

    Whatever cannot be read back, is empty or does not state the version is refused. How often the
    built pages say "(unreleased)", what Sphinx warned of, and what epubcheck said (or that it was
    not run), are facts: whoever reads them decides. Further facts: files and bytes of each form,
    versions of the tools, `targets`, and `docs_lock`, the digest of the list of packages.
    """
    objects = Objects(job.repository, job.work("git"))
    time = objects.commit_time(job.commit)
    with job.part("checkout"):
        tree = job.work("tree")
        _check_out(objects, job.commit, tree)
    doc = _prepared(job, tree / "Doc", time)
    found: dict[str, Content] = {}
    for form in FORMS:
        stem = f"python-{job.version}-docs-{form}"
        with job.part(form):
            content = _made(job, doc, form, stem)
        with job.part(f"pack_{form}"):
            pack(content, Form(stem, time), job.out)
            found[form] = examined(job.out, stem, form, job.version)
    with job.part("epub"):
        found["epub"] = _epub(job, doc, time)
    _state(job, doc, found, time)


def _check_out(objects: Objects, commit: str, folder: Path) -> None:
    """Write the files of a commit; a name that leads elsewhere is refused."""
    root = folder.resolve()
    with objects.files(commit) as members:
        for member in members:
            path = root / member.path
            if ".." in path.parts or not path.parent.resolve().is_relative_to(root):
                raise WorldError(
                    f"the commit has a file {member.path!r}, which leads out of it",
                    code="TREE_UNSUPPORTED",
                    remedy="Find out who committed it.",
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.link:
                path.symlink_to(member.data.decode("utf-8", "surrogateescape"))
                continue
            path.write_bytes(member.data)
            path.chmod(0o755 if member.executable else 0o644)


def _prepared(job: Job, folder: Path, time: int) -> Doc:
    """Read the Makefile, look for the tools, and have the tree's environment made."""
    makefile = folder / "Makefile"
    if not makefile.is_file():
        raise CheckError(
            "the commit has no Doc/Makefile",
            code="DOCS_TARGET",
            remedy="Look at the branch: the docs are built by the tree's own rules.",
        )
    text = makefile.read_text(encoding="utf-8")
    makes_info = "info --directory" in text
    _require_tools("make", *(["makeinfo"] if makes_info else []))
    with job.part("environment"):
        environment = docs_environment(
            folder,
            kept=job.docs_environments,
            python=sys.executable,
            run=lambda _, command: job.run(command, cwd=folder),
        )
    blurb = shlex.join(blurb_command(job.blurb)).replace("$", "$$")
    _state_environment(job, environment, docs_lock(folder, job.docs_environments))
    return Doc(
        folder,
        frozenset(name for names in TARGETS.findall(text) for name in names.split()),
        makes_info,
        (
            *(f"PYTHON={sys.executable}", f"VENVDIR={environment}", f"BLURB={blurb}"),
            *("SPHINXERRORHANDLING=", f"SPHINXOPTS={_sphinx_options(time)}", "JOBS=1"),
        ),
        {"SOURCE_DATE_EPOCH": str(time), "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
    )


def _state_environment(job: Job, environment: Path, locked: Path) -> None:
    """State what the docs are made with; the list itself goes to the log."""
    job.facts["sphinx"] = installed(environment).get("sphinx", "none is required by the tree")
    job.facts["docs_packages"] = len(listed(locked))
    job.facts["docs_lock"] = "none"
    if locked.exists():
        print(text := locked.read_text(encoding="utf-8"), end="")  # noqa: T201 (the build's log)
        job.facts["docs_lock"] = hashlib.sha256(text.encode()).hexdigest()


def _sphinx_options(time: int) -> str:
    """Return the options as the shell of a recipe reads them."""
    updated = datetime.fromtimestamp(time, UTC).strftime("%b %d, %Y (%H:%M UTC)")
    return f"-w {WARNINGS} -D {shlex.quote(f'html_last_updated_fmt={updated}')}"


def _require_tools(*names: str) -> None:
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise WorldError(
            f"the docs need {', '.join(missing)}, which is not installed",
            code="TOOL_MISSING",
            remedy=f"Install {', '.join(missing)} on the build machine; makeinfo is in texinfo.",
        )


def _made(job: Job, doc: Doc, form: str, stem: str) -> Path:
    """Return the folder with one form of the docs, made by ``dist-<form>`` or an older target."""
    target = _target(doc, form)
    doc.make(job, target)
    if target == form:
        if form == "texinfo" and doc.makes_info:
            doc.make(job, "-C", f"build/{form}", "info")
        return _left(doc, f"build/{form}", target)
    archive = _left(doc, f"dist/{stem}.tar.bz2", target)
    folder = job.work(f"content-{form}")
    try:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise CheckError(
            f"make {target} left {archive.name}, which cannot be unpacked: {error}",
            code="DOCS_ARCHIVE",
            remedy="Read the build's log; look for a full disk.",
        ) from error
    return folder / stem


def _target(doc: Doc, form: str) -> str:
    for target in f"dist-{form}", form:
        if target in doc.targets:
            return target
    raise CheckError(
        f"Doc/Makefile has neither dist-{form} nor {form}",
        code="DOCS_TARGET",
        remedy="Look at the branch; teach relkit how this tree makes that form.",
    )


def _left(doc: Doc, path: str, target: str) -> Path:
    """Return what a target must have left below ``Doc``."""
    found = doc.folder / path
    if not found.exists():
        there = sorted(one.name for one in found.parent.glob("*"))
        raise CheckError(
            f"make {target} left no {path}, but {', '.join(there[:SHOWN]) or 'nothing'}",
            code="DOCS_MISSING",
            remedy="Has the tree another version than the release? Read the build's log.",
        )
    return found


def _epub(job: Job, doc: Doc, time: int) -> Content:
    name = f"python-{job.version}-docs.epub"
    target = _target(doc, "epub")
    doc.make(job, target)
    made = _left(doc, f"dist/{name}" if target != "epub" else "build/epub/Python.epub", target)
    check_epub(made)
    repack_epub(made, job.out / name, time)
    check_epub(job.out / name)
    job.facts.update(epubcheck(job, job.out / name))
    return examined(job.out, name.removesuffix(".epub"), "epub", job.version)


def _state(job: Job, doc: Doc, found: Mapping[str, Content], time: int) -> None:
    places = [place for content in found.values() for place in content.unreleased]
    for form, content in found.items():
        job.facts.update({f"files_{form}": content.files, f"bytes_{form}": content.size})
    job.facts.update(
        {
            "commit": job.commit,
            "version": str(job.version),
            "source_date_epoch": time,
            "targets": tuple(_target(doc, form) for form in (*FORMS, "epub")),
            "unreleased": len(places),
            "unreleased_in": tuple(places[:SHOWN]),
            "warnings": len(doc.warnings),
            "warnings_first": tuple(doc.warnings[:SHOWN]),
            "make": _first_line(job, "make"),
            "makeinfo": _first_line(job, "makeinfo") if doc.makes_info else "not wanted",
            "python": sys.version.split()[0],
        }
    )


def _first_line(job: Job, *command: str) -> str:
    said: Sequence[str] = job.ask([*command, "--version"], cwd=job.folder).splitlines()
    return said[0] if said else ""
