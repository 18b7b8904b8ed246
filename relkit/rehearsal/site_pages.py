"""The pages of the python.org stand-in, for a browser. Each says that it is a rehearsal's."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import mistune
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from relkit.rehearsal.site_fields import SITE, Row
from relkit.rehearsal.site_http import Reply, below, file_reply
from relkit.rehearsal.site_store import Store

TEMPLATES = Path(__file__).parent / "templates"
SIDES = {
    "gpg_signature_file": "GPG",
    "sigstore_bundle_file": "Sigstore",
    "sigstore_signature_file": "Sigstore signature",
    "sigstore_cert_file": "Sigstore certificate",
    "sbom_spdx2_file": "SBOM",
}
LOCAL = ("/ftp/", "/downloads/", "/docs/")
MONTHS = "January February March April May June July August September October November December"
Href = Callable[[str], str | None]


def served_path(url: str) -> str:
    """Return where the stand-in serves an address of python.org; other addresses stay."""
    path = "/" + url.removeprefix(SITE)
    return path if url.startswith(SITE) and path.startswith(LOCAL) else url


class _Renderer(mistune.HTMLRenderer):
    """Markdown to HTML: markup in the text is shown as text, pictures become links."""

    def __init__(self, href: Href) -> None:
        super().__init__(escape=True)
        self._href = href

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Lead to the local copy where there is one."""
        return super().link(text, self._href(url) or url, title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Load nothing: the pages stand alone."""
        return self.link(text or escape(url), url, title)


class Pages:
    """Renders rows as HTML."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def downloads(self) -> Reply:
        """Show the latest release and the lists of all that are published."""
        rows = [row for row in self._store.rows("release") if row["is_published"]]
        rows.sort(key=lambda row: row["release_date"], reverse=True)
        latest = next((row for row in rows if row["is_latest"] and row["version"] == 3), None)  # noqa: PLR2004 (Python 3)
        listed = [row for row in rows if row["show_on_download_page"] and not row["pre_release"]]
        files = self._files(latest, served_path) if latest else []
        html = self._render(
            "downloads",
            latest=latest and _dated(latest),
            buttons=[file for file in files if file["download_button"]],
            releases=[_dated(row) for row in listed],
            pre_releases=[_dated(row) for row in rows if row["pre_release"]],
        )
        return Reply.text(200, html)

    def system(self, slug: str) -> Reply | None:
        """Show what is published for a system, the newest first; None: there is no such system."""
        found = next((row for row in self._store.rows("os") if row["slug"] == slug), None)
        if found is None:
            return None
        rows = [row for row in self._store.rows("release") if row["is_published"]]
        rows.sort(key=lambda row: row["release_date"], reverse=True)
        listed = [_dated(row) | {"files": self._files(row, served_path, slug)} for row in rows]
        html = self._render(
            "system",
            system=found["name"],
            lists={
                "Stable releases": [row for row in listed if not row["pre_release"]],
                "Pre-releases": [row for row in listed if row["pre_release"]],
            },
        )
        return Reply.text(200, html)

    def release(self, slug: str) -> Reply | None:
        """Show a release, also a draft: the real site does so to those who guess its address."""
        row = self.row(slug)
        return None if row is None else Reply.text(200, self._release(row, served_path))

    def exported(self, slug: str, href: Href) -> str | None:
        """Return a release's page as HTML that stands alone, with links as `href` makes them."""
        row = self.row(slug)
        return None if row is None else self._release(row, href, exported=True)

    def row(self, slug: str) -> Row | None:
        """Return the row of a release."""
        rows = self._store.rows("release")
        return next((row for row in rows if row["slug"] == slug), None)

    def _release(self, row: Row, href: Href, *, exported: bool = False) -> str:
        markdown = mistune.create_markdown(
            renderer=_Renderer(href), plugins=["table", "strikethrough", "url"]
        )
        return self._render(
            "release",
            exported=exported,
            release=_dated(row),
            text=Markup(markdown(row["content"])),  # noqa: S704 (the renderer escapes)
            files=self._files(row, href),
        )

    def _files(self, release: Row, href: Href, system: str = "") -> list[Row]:
        """Return a release's files as they are shown, of one system or (empty) of all."""
        systems = {row["id"]: row for row in self._store.rows("os")}
        rows = [r for r in self._store.rows("release_file") if r["release"] == release["id"]]
        kept = [row for row in rows if system in {"", systems[row["os"]]["slug"]}]
        return [_shown(row, systems[row["os"]]["name"], href) for row in kept]

    def listing(self, path: str, folder: Path) -> Reply:
        """Show a folder of the file server."""
        entries = []
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith("."):
                continue
            slash = "/" if entry.is_dir() else ""
            size = "" if slash else f"{entry.stat().st_size:,}".replace(",", " ")
            href = quote(entry.name) + slash
            entries.append({"name": entry.name + slash, "href": href, "size": size})
        parent = path.strip("/").count("/") > 0
        return Reply.text(200, self._render("listing", path=path, parent=parent, entries=entries))

    def message(self, status: int, heading: str, message: str) -> Reply:
        """Say one thing."""
        return Reply.text(status, self._render("message", heading=heading, message=message))

    def login(self, status: int, following: str) -> Reply:
        """Show the form that asks for the token."""
        return Reply.text(status, self._render("login", next=following))

    def content(self, row: Row) -> Reply:
        """Show the form for a release's page text."""
        return Reply.text(200, self._render("content", release=row))

    def _render(self, name: str, *, exported: bool = False, **values: object) -> str:
        template = self._templates.get_template(f"{name}.html.j2")
        return template.render(exported=exported, **values)


def _dated(row: Row) -> Row:
    day = datetime.fromisoformat(row["release_date"]).date()
    month = MONTHS.split()[day.month - 1]  # strftime would follow the locale
    return {**row, "day": day.isoformat(), "long_day": f"{day.day} {month} {day.year}"}


def _shown(row: Row, system: str, href: Href) -> Row:
    sides = [
        {"label": label, "url": row[name], "href": href(row[name])}
        for name, label in SIDES.items()
        if row[name]
    ]
    size = _human(row["filesize"])
    return {**row, "os": system, "href": href(row["url"]), "size": size, "sides": sides}


def _human(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 (a thousand)
            return f"{size} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def relative_href(public: Path, folder: Path) -> Href:
    """Return how a page in `folder` links to files below `public`; None where there is no file."""

    def href(url: str) -> str | None:
        path = served_path(url)
        if not path.startswith("/ftp/"):
            return url
        target = below(public, path)
        if target is None or not target.is_file():
            return None
        return quote(os.path.relpath(target, folder))

    return href


def latest_target(store: Store, name: str) -> str | None:
    """Return the slug that ``/downloads/latest/<name>/`` leads to; None: to the list.

    ``python3`` follows the mark; ``python3.15`` is the newest date, pre-releases included.
    """
    rows = [row for row in store.rows("release") if row["is_published"]]
    rows.sort(key=lambda row: row["release_date"], reverse=True)
    if name == "prerelease":
        found = [row for row in rows if row["pre_release"]]
    elif name in {"python2", "python3"}:
        found = [row for row in rows if row["is_latest"] and row["version"] == int(name[-1])]
    elif series := re.fullmatch(r"python(\d+\.\d+)", name):
        found = [row for row in rows if row["name"].startswith(f"Python {series[1]}.")]
    else:
        found = []
    return found[0]["slug"] if found else None


def static(pages: Pages, root: Path, path: str) -> Reply | None:
    """Serve a path below a root: a file, a folder's list, or the way to the final slash."""
    target = below(root, path)
    if target is None or any(part.startswith(".") for part in path.split("/")):
        return None
    if not target.is_dir():
        return None if path.endswith("/") else file_reply(target)
    if not path.endswith("/"):
        return Reply(301, headers={"Location": quote(path + "/")})
    index = file_reply(target / "index.html")
    return index or pages.listing(path, target)
