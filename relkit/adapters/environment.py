"""Whether the installed packages are still what the lock files made of them.

Three things are compared: installed versions with the lock, each file with the digest its
package's RECORD gives, and the files that are there with those any RECORD names. What a wheel
contains is settled when it is installed, by the lock's hashes; from then on RECORD stands for it.
Two things are not seen: compiled files in ``__pycache__``, which no RECORD has digests of, and
a RECORD that was rewritten together with the files it lists.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

UNLOCKED = frozenset({"pip", "relkit", "wheel"})
"""What may be installed without standing in the lock: the installer, and the project itself."""

CHUNK_BYTES = 1 << 20

Mark = tuple[int, int, int]


def read_lock(lock: Path) -> dict[str, str]:
    """Return the versions a lock file gives for this machine and Python, by normalised name."""
    versions: dict[str, str] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.split(" --hash")[0].rstrip("\\ "))
            if requirement.marker is None or requirement.marker.evaluate():
                [pin] = requirement.specifier
                versions[canonicalize_name(requirement.name)] = pin.version
    return versions


@dataclass(frozen=True)
class Installation:
    """A folder that packages were installed into.

    Packages of `required` must be there, those of `optional` may be. `flat` says that it was made
    with ``pip install --target``, which leaves scripts in the folder itself, not where RECORD
    says.
    """

    folder: Path
    required: tuple[Path, ...]
    optional: tuple[Path, ...] = ()
    flat: bool = False
    _digests: dict[str, tuple[Mark, str]] = field(default_factory=dict, compare=False, repr=False)

    def differences(self) -> Iterator[str]:
        """Yield a line for each difference: versions first, then files."""
        try:
            required, optional = map(_read_locks, (self.required, self.optional))
        except (OSError, ValueError) as error:
            yield f"the lock files cannot be read: {error}"
            return
        found = list(distributions(path=[str(self.folder)]))
        yield from _version_differences(_versions(found), required, optional)
        recorded: dict[str, str] = {}
        for distribution in found:
            record = distribution.read_text("RECORD")
            if record is None:
                yield f"{distribution.name} has no RECORD"
            recorded |= self._rows(record or "")
        yield from self._changed(recorded)
        yield from self._unrecorded(recorded)

    def _rows(self, record: str) -> dict[str, str]:
        """Return the digest, as RECORD writes it, for each path; empty where it gives none."""
        rows = ((row[0], row[1]) for row in csv.reader(record.splitlines()) if row)
        if self.flat:
            rows = ((name.removeprefix("../../"), digest) for name, digest in rows)
        folder = str(self.folder)
        return {_joined(folder, name): digest for name, digest in rows}

    def _changed(self, recorded: dict[str, str]) -> Iterator[str]:
        for path, digest in recorded.items():
            if digest and (found := self._digest(path)) != digest:
                state = "differs from" if found else "is missing; it is in"
                yield f"{self._shown(path)} {state} the RECORD of its package"

    def _digest(self, path: str) -> str:
        """Return the digest of a file in RECORD's form; empty if there is no such file.

        A file is read once, and again only if it was written to: its change time, which cannot
        be set, its inode or its size are others then.
        """
        try:
            stat = os.stat(path)  # noqa: PTH116 (Path objects for 20,000 files take half a second)
            mark = (stat.st_ino, stat.st_size, stat.st_ctime_ns)
            known, digest = self._digests.get(path, (None, ""))
            if known != mark:
                digest = _record_form(path)
                self._digests[path] = mark, digest
        except OSError:
            return ""
        return digest

    def _unrecorded(self, recorded: Iterable[str]) -> Iterator[str]:
        """Yield files that no package brought, of which `.pth` files even run by themselves."""
        known = set(recorded)
        for folder, folders, names in os.walk(self.folder):
            folders[:] = sorted(set(folders) - {"__pycache__"})
            for name in sorted(names):
                path = f"{folder}/{name}"
                if path not in known:
                    yield f"{self._shown(path)} belongs to no installed package"

    def _shown(self, path: str) -> str:
        return os.path.relpath(path, self.folder)


def intruders(folder: Path) -> Iterator[str]:
    """Yield what is imported from elsewhere in place of Python's library or of `folder`.

    Looked at are the working directory, where notebook kernels look first, the entries of
    `sys.path` before `folder`, and the two modules that Python imports unasked.
    """
    library = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    before = sys.path[: sys.path.index(str(folder))] if str(folder) in sys.path else sys.path
    own = {*library, *(f"{path}/lib-dynload" for path in library), str(folder)}
    names = sys.stdlib_module_names | {path.name.split(".")[0] for path in folder.iterdir()}
    for place in dict.fromkeys(map(os.path.abspath, ["", *before])):
        if place not in own and Path(place).is_dir():
            yield from _hiding(Path(place), names)
    for name in ("sitecustomize", "usercustomize"):
        spec = PathFinder.find_spec(name)
        if spec and spec.origin and str(Path(spec.origin).parent) not in library:
            yield f"{name} is imported from outside Python's library"


def _hiding(place: Path, names: frozenset[str] | set[str]) -> Iterator[str]:
    for path in sorted(place.iterdir()):
        name, _, suffix = path.name.partition(".")
        module = f".{suffix}" in {".py", ".pyc", *EXTENSION_SUFFIXES}
        if name in names and (module or (path / "__init__.py").is_file()):
            yield f"{path.name} in {place.name or place} hides the module {name}"


def _read_locks(locks: Iterable[Path]) -> dict[str, str]:
    return {name: version for lock in locks for name, version in read_lock(lock).items()}


def _versions(found: Iterable[Distribution]) -> dict[str, str]:
    return {canonicalize_name(one.name): one.version for one in found}


def _version_differences(
    found: dict[str, str], required: dict[str, str], optional: dict[str, str]
) -> Iterator[str]:
    locked = optional | required
    for name, version in sorted(found.items()):
        if name not in locked and name not in UNLOCKED:
            yield f"{name} {version} is installed, but not locked"
        elif locked.get(name, version) != version:
            yield f"{name} {version} is installed, {locked[name]} is locked"
    for name in sorted(required.keys() - found.keys()):
        yield f"{name} {required[name]} is locked, but not installed"


def _joined(folder: str, name: str) -> str:
    path = f"{folder}/{name}"
    return os.path.normpath(path) if ".." in name else path


def _record_form(path: str) -> str:
    whole = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (as above)
        while part := file.read(CHUNK_BYTES):
            whole.update(part)
    return "sha256=" + base64.urlsafe_b64encode(whole.digest()).rstrip(b"=").decode()
