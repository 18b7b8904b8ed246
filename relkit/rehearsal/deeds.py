"""What the people of a rehearsal do elsewhere when they are asked: the page, posts, builders."""

from __future__ import annotations

import re
from pathlib import Path

from relkit.adapters.evidence import add_testimony, asked_for, require_words
from relkit.adapters.value_files import read_value
from relkit.errors import WorldError
from relkit.rehearsal.making import WHOLE, Made
from relkit.rehearsal.ports import LocalAnnouncements
from relkit.rehearsal.seeds import seed_builders
from relkit.rehearsal.site import Site
from relkit.rehearsal.site_admin import enter_page_text
from relkit.release import Release
from relkit.values import Testimony

POSTED = re.compile(r"-post-([a-z]+)$")
"""How the name of evidence ends that says where the draft of a channel was posted."""
PAGE_TEXT = "page text"
"""The subject of the message that asks the web editor to fill in a page."""
SUPERSEDED = "superseded: "
"""How the subject begins that asks for a note on the page of an older release; its slug follows."""


def edit_pages(
    site: Site, url: str, drafts: LocalAnnouncements, release: Release, subject: str, text: str
) -> None:
    """Do what the web editor is asked for: fill in a page, put a note at the top of another.

    The page gets the draft text through the site's form, at the address `url`.
    """
    if subject == PAGE_TEXT:
        page = drafts.drafted(channel="page") or ""
        enter_page_text(url=url, token=site.v2_token, slug=release.slug, text=page)
    elif subject.startswith(SUPERSEDED):
        slug = subject.removeprefix(SUPERSEDED)
        page = site.content(slug) or ""
        if text not in page:
            page = f"{text}\n\n{page}"
            enter_page_text(url=url, token=site.v2_token, slug=slug, text=page)


def do_elsewhere(
    state: Path, drafts: LocalAnnouncements, release: Release, name: str, text: str
) -> None:
    """Do what a person says to have done where a rehearsal has no other place for it.

    A post is there for everybody to read; a new branch has builders.
    """
    _do(state, drafts, release.version.series, name, text)


def testify(message: Path, who: str, role: str, text: str) -> None:
    """Give the evidence that a message, given as its file, asks for; what comes last counts.

    The run may be held by another process: only files beside the message are written. What the
    person says to have done elsewhere is done, as `do_elsewhere` does it; whether the person has
    the role is looked at where the evidence is taken in. Raises `WorldError`: ``NOT_ASKED``,
    ``EVIDENCE_INVALID``, ``STATE_UNREADABLE``.
    """
    given = Testimony(name=asked_for(message, role), who=who, role=role, text=text.strip())
    require_words(given)
    state = message.absolute().parent.parent
    key = _key_of(state, given.name)
    drafts = LocalAnnouncements(
        folder=state / "drafts" / key, peps=state / "peps.git", posts=state / "posts.json"
    )
    series = ".".join(key.partition("-")[0].split(".")[:2])
    _do(state, drafts, series, given.name, given.text)
    add_testimony(state / "evidence", given)


def _key_of(state: Path, name: str) -> str:
    """Return the key of the release whose run asks for evidence of a name."""
    made = read_value(state / WHOLE, Made)
    for file in sorted(state.glob("site-*.url")):
        key = file.name.removeprefix("site-").removesuffix(".url")
        if name.startswith(f"{made.nonce(key)}-"):
            return key
    raise WorldError(
        f"no run in this world asks for {name}",
        code="NOT_ASKED",
        remedy="Name the file of the message as it lies in the outbox of the run's world.",
    )


def _do(state: Path, drafts: LocalAnnouncements, series: str, name: str, text: str) -> None:
    if posted := POSTED.search(name):
        drafts.publish_post(url=text.strip(), channel=posted[1])
    if name.endswith("-infrastructure"):
        seed_builders(state / "buildbots.json", series)
