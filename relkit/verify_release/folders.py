"""The download folders: what lies there beside the files of the release.

Folders of a series hold the files of all its previews; those of other releases are theirs. What
has this release's version in its name, or none at all, would be taken for this release's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from relkit.adapters.stranger import OK
from relkit.errors import WorldError
from relkit.expected import folders, unwanted
from relkit.release import Release
from relkit.verify_release.case import Case, unread
from relkit.verify_release.links import links
from relkit.verify_release.report import Look

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}/?", flags=re.ASCII)
VERSIONED = re.compile(r"(?<![0-9.])3\.[0-9]+\.[0-9]+(?:(?:a|b|rc)[0-9]+)?(?![0-9])")
DIGITS = re.compile(r"python(3[0-9]+(?:(?:a|b|rc)[0-9]+)?)\.chm.*")
SORTING = re.compile(r"\?[CNMSDOA=;&]+")
"""What servers put over the columns of a listing."""


def look_at_folders(case: Case) -> None:
    """Compare what each folder lists with the files of the release."""
    look = case.look("folders")
    paths: dict[str, set[str]] = {}
    every = set(case.paths)
    if case.manifest is None:
        every |= {f"{folder}/{name}" for name, folder in folders(case.release).items()}
    for path in every:
        folder, _, name = path.rpartition("/")
        paths.setdefault(folder, set()).add(name)
    others = 0
    for folder in sorted(paths):
        try:
            names = _listed(case, folder, look)
        except WorldError as error:
            unread(look, f"{folder}/", error)
            continue
        if names is not None:
            others += _compare(look, case.release, folder, (paths[folder], names))
    total = sum(map(len, paths.values()))
    beside = f"; {others} files there are of other releases" if others else ""
    if not paths:
        return
    look.good = f"{total} files listed in {_folders(len(paths))}, no other of this release{beside}"


def _listed(case: Case, folder: str, look: Look) -> list[str] | None:
    """Return the names that a folder lists; folders end with a slash. None: there is no list."""
    got = case.site.fetch(f"{folder}/", keep=True)
    if got.status != OK or got.kind != "text/html":
        text = f"the site answers {got.status} with {got.kind or 'nothing'}"
        look.found("removed", f"{folder}/", "LISTING_MISSING", text)
        return None
    if got.cut:
        text = f"its list is longer than {got.size:,} bytes"
        look.found("changed", f"{folder}/", "LISTING_TOO_LARGE", text)
        return None
    names = []
    targets, base = links(got.data)
    if base:
        look.found(
            "changed", f"{folder}/", "LISTING_NAME", f"<base> makes its links lead to {base}"
        )
    for link in targets:
        name = _name(link, folder, case.site.url)
        if name is None:
            look.found("added", f"{folder}/{link}", "LISTING_NAME", "no name of a file here")
        elif name:
            names.append(name)
    return names


def _name(link: str, folder: str, site: str) -> str | None:
    """Return the name that a link of a listing leads to; empty: it leads away. None: it is bad."""
    base = f"{urlsplit(site).path}{folder}/"
    try:
        parts = urlsplit(link)
    except ValueError:  # no address at all
        return None
    if SORTING.fullmatch(link) or link in {"../", "./", base} or link.startswith("#"):
        return ""
    if parts.scheme or parts.netloc or link.startswith("/"):
        if parts.netloc not in {"", urlsplit(site).netloc}:
            return ""  # another site has no file of this folder
        if not parts.path.startswith(base):
            return ""
        link = parts.path.removeprefix(base)
    name = unquote(link)
    return name if NAME.fullmatch(name) else None


def _compare(
    look: Look, release: Release, folder: str, names: tuple[set[str], Iterable[str]]
) -> int:
    """Find what is missing and what is more; return how many files are of other releases."""
    wanted, found = names[0], list(names[1])
    forbidden = {name for where, name in unwanted(release) if where == folder}
    others = 0
    for name in sorted({*found} - wanted):
        whose = _whose(name, release, folder)
        path = f"{folder}/{name}"
        if name in forbidden:
            look.found("added", path, "UNWANTED_FILE", "a release of this kind must not have it")
        elif whose == "ours":
            look.found("added", path, "FILE_ADDED", "in the folder, and not in the manifest")
        elif whose == "nobody's" and name.endswith("/"):
            look.notes.append(f"{path} was not looked into")
        elif whose == "nobody's":
            text = "in the folder, and of no release by its name"
            look.found("added", path, "FILE_ADDED", text)
        else:
            others += not name.endswith("/")
    for name in sorted(wanted - {*found}):
        look.found("removed", f"{folder}/{name}", "LISTING_STALE", "the folder does not list it")
    return others


def _whose(name: str, release: Release, folder: str) -> str:
    """Tell whose file this is by its name: ``ours``, ``theirs`` or ``nobody's``."""
    if folder == release.docs_folder:
        return "ours"
    plain = str(release.version).replace(".", "")
    if (digits := DIGITS.fullmatch(name)) is not None:
        return "ours" if digits[1] == plain else "theirs"
    versions = set(VERSIONED.findall(name))
    if str(release.version) in versions:
        return "ours"
    return "theirs" if versions else "nobody's"


def _folders(number: int) -> str:
    return f"{number} folder{'s' * (number != 1)}"
