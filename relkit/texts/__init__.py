"""The texts of a release, rendered from its manifest by Jinja2 templates beside this file."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from relkit.errors import CheckError
from relkit.manifest import SITE, Manifest
from relkit.release import Release
from relkit.values import Person

LINK = re.compile(r"[a-z][a-z0-9+.-]*://[^\s)>\]]+", flags=re.IGNORECASE)
TRUSTED = (SITE, "https://peps.python.org/", "https://docs.python.org/", "https://github.com/")
CHANNELS = ("page", "discuss", "blog", "committers")
"""Where a release is told: the site's page, the forum, the blog, the committers."""

_TEMPLATES = Environment(
    loader=PackageLoader("relkit", "texts"),
    autoescape=False,  # noqa: S701 (Markdown for people; the site escapes it itself)
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.globals["zone"] = ZoneInfo


def text_for(
    channel: str, release: Release, manifest: Manifest, manager: Person, *, rehearsal: bool
) -> str:
    """Return the draft for a channel; refuse links to other places (``ANNOUNCE_LINK``)."""
    template = _TEMPLATES.get_template(f"{channel}.md.j2")
    text = template.render(
        release=release,
        version=release.version,
        manifest=manifest,
        manager=manager.name,
        page=f"{SITE}downloads/release/{release.slug}/",
        rehearsal=rehearsal,
    )
    for link in LINK.findall(text):
        if not link.startswith(TRUSTED):
            raise CheckError(
                f"the text for {channel} links to {link}",
                code="ANNOUNCE_LINK",
                remedy=f"Link only to {', '.join(TRUSTED)}.",
            )
    return text


def notice(release: Release, people: tuple[Person, ...], subject: str, body: str) -> str:
    """Return a message to the experts, with the time of the release in each one's zone."""
    template = _TEMPLATES.get_template("notice.md.j2")
    return template.render(release=release, people=people, subject=subject, body=body)
