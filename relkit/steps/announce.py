"""Announce: texts made from the manifest, posted by people, and looked for where they are."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from relkit.manifest import SITE
from relkit.plan import Action, Check, Expect, Plan
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.manual import manual
from relkit.steps.merge import HERE, NEWS, PHASE
from relkit.steps.push import push_upstream
from relkit.steps.sign import close_manifest
from relkit.steps.source import commit_release
from relkit.texts import posted, security_fixes, text_for, told
from relkit.texts.links import leads_to

WITHIN = timedelta(hours=48)


@step(phase=PHASE, where=HERE, after=[push_upstream])
def draft_announcements(release: Release, world: World, results: Results) -> Plan:
    """Draft the announcements.

    Texts for the forum, the blog and the committers, made from the manifest: links lead only to
    known places, digests are the manifest's. A security release has an advisory as well, with what
    its news say under *Security*; it is written only now that everything is public. They are
    drafts: read them, add your own words, and post them.
    """
    news = world.repo.read_text(
        commit=results[commit_release].commit, path=f"{NEWS}/{release.version}.rst"
    )
    manager = world.policy.person("release-manager")
    for channel in told(release):
        text = text_for(
            channel,
            release,
            results[close_manifest],
            manager,
            rehearsal=world.rehearsal,
            fixes=security_fixes(news or ""),
        )
        yield Action(
            do=partial(world.announcements.draft, channel=channel, text=text),
            done=Expect(partial(world.announcements.drafted, channel=channel), equals=text),
            undo="a draft is seen by nobody but its poster",
        )


@step(phase=PHASE, where="forum and blog", after=[draft_announcements])
def confirm_announcements(release: Release, world: World, _results: Results) -> Plan:
    """Confirm the announcements.

    The release manager posts the drafts and gives the address of each post. Each post is fetched:
    it must name the version and lead to its page. Where there is a mail to the list for security,
    it waits for its moderator; its address is that in the archive, where it stands only when it
    went out.
    """
    given: dict[str, str | None] = {}
    for channel, place in posted(release).items():
        ask = f"Please post the draft {channel} of Python {release.version}, then say where it is."
        example = f"{place}{release.slug}/"
        given[channel] = yield from manual(
            world, f"post-{channel}", "release-manager", ask, example, within=WITHIN
        )
    for channel, link in given.items():
        if link is not None:
            yield from _post_checks(release, world, channel, link.strip())


def _post_checks(release: Release, world: World, channel: str, link: str) -> Plan:
    place = posted(release)[channel]
    known = link.startswith(place) and link.isascii() and len(link.split()) == 1
    yield Check(
        f"the post {channel} is below {place}",
        known,
        found=link,
        code="POST_PLACE",
        remedy="Give the address of the post itself, as readers see it.",
    )
    text = world.announcements.post(url=link) if known else None
    page = f"{SITE}downloads/release/{release.slug}/"
    yield Check(
        f"the post {channel} names {release.version} and leads to its page",
        None if text is None else str(release.version) in text and leads_to(text, page),
        found=link if text else f"nothing to read at {link}",
        code="POST_DIFFERS",
        remedy="Correct the post, or give the right address.",
        waivable=True,
    )
