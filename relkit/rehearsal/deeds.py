"""What the people of a rehearsal do elsewhere when they are asked: the page, posts, builders."""

from __future__ import annotations

import re
from pathlib import Path

from relkit.rehearsal.ports import LocalAnnouncements
from relkit.rehearsal.seeds import seed_builders
from relkit.rehearsal.site import Site
from relkit.rehearsal.site_admin import enter_page_text
from relkit.release import Release

POSTED = re.compile(r"-post-([a-z]+)$")
"""How the name of evidence ends that says where the draft of a channel was posted."""
PAGE_TEXT = "page text"
"""The subject of the message that asks the web editor to fill in a page."""
SUPERSEDED = "superseded: "
"""How the subject begins that asks for a note on the page of an older release; its slug follows."""


def edit_pages(
    site: Site, drafts: LocalAnnouncements, release: Release, subject: str, text: str
) -> None:
    """Do what the web editor is asked for: fill in a page, put a note at the top of another.

    The page gets the draft text through the site's form.
    """
    if subject == PAGE_TEXT:
        page = drafts.drafted(channel="page") or ""
        enter_page_text(url=site.url, token=site.v2_token, slug=release.slug, text=page)
    elif subject.startswith(SUPERSEDED):
        slug = subject.removeprefix(SUPERSEDED)
        page = site.content(slug) or ""
        if text not in page:
            page = f"{text}\n\n{page}"
            enter_page_text(url=site.url, token=site.v2_token, slug=slug, text=page)


def do_elsewhere(
    state: Path, drafts: LocalAnnouncements, release: Release, name: str, text: str
) -> None:
    """Do what a person says to have done where a rehearsal has no other place for it.

    A post is there for everybody to read; a new branch has builders.
    """
    if posted := POSTED.search(name):
        drafts.publish_post(url=text.strip(), channel=posted[1])
    if name.endswith("-infrastructure"):
        seed_builders(state / "buildbots.json", release.version.series)
