"""Transitions of a branch: tell of it, have it confirmed elsewhere, look once more."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from relkit.kinds import TRANSITIONS
from relkit.plan import Action, Check, Expect, Plan
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.ending import clear_labels
from relkit.steps.manual import is_request, manual
from relkit.steps.prepare import message
from relkit.steps.transition import HERE, PHASE, look_at_branch, restrict_branch, set_status
from relkit.texts import text_of_transition
from relkit.words import in_words

TOLD = ("discuss", "committers")
PLACES = "https://github.com/python/"


@step(phase=PHASE, where="mail", after=[set_status], kinds=TRANSITIONS)
def tell_docs_expert(release: Release, world: World, _results: Results) -> Plan:
    """Tell the docs expert.

    How often the documentation of the branch is built follows from its status: daily while it gets
    bugfixes, now and then while it gets security fixes, once more with a banner at its end. A
    message cannot be taken back.
    """
    series, status = release.version.series, release.facts.ends
    text = f"{series} is {status} from {release.day} on. Please see to the builds of its docs."
    yield from message(world, "status", f"{series} is {status}", text, "docs-expert")


ELSEWHERE = (
    ("docs-builds", "docs-expert", "docsbuild-scripts", "how its docs are built, and their banner"),
    ("site-pages", "web-editor", "pythondotorg", "the download page and its releases' pages"),
    ("buildbots", "release-manager", "buildmaster-config", "its builders"),
)
"""What people change by a pull request: name of the evidence, role, project, what it is about."""


@step(phase=PHASE, where="elsewhere", after=[tell_docs_expert], kinds=TRANSITIONS)
def confirm_elsewhere(release: Release, world: World, _results: Results) -> Plan:
    """Confirm what is done elsewhere.

    Other projects follow the status as well: the builds of the docs, the site's pages, the
    builders. Who changes them gives the address of the pull request, and names the branch; that it
    was merged is not looked at.
    """
    series = release.version.series
    for name, role, project, about in ELSEWHERE:
        place = f"{PLACES}{project}/pull/"
        example = f"{place}1 for {series}"
        ask = f"{series} is {release.facts.ends}: please see to {about}, and say where you did."
        text = yield from manual(world, name, role, ask, example)
        if text is not None:
            link, *words = text.split() or [""]
            yield Check(
                f"a pull request to {project} is named, for {series}",
                is_request(link, place) and series in words,
                found=text,
                code="EVIDENCE_UNFIT",
                remedy=f"Give it in the form: {example}",
            )


@step(phase=PHASE, where=HERE, after=[set_status, clear_labels], kinds=TRANSITIONS)
def draft_transition_texts(release: Release, world: World, _results: Results) -> Plan:
    """Draft the announcement.

    Texts for the forum and the committers; read them, add your own words, and post them.
    """
    manager = world.policy.person("release-manager")
    for channel in TOLD:
        text = text_of_transition(channel, release, manager, rehearsal=world.rehearsal)
        yield Action(
            do=partial(world.announcements.draft, channel=channel, text=text),
            done=Expect(partial(world.announcements.drafted, channel=channel), equals=text),
            undo="a draft is seen by nobody but its poster",
        )


@step(phase=PHASE, where="forum", after=[draft_transition_texts], kinds=TRANSITIONS)
def confirm_post(release: Release, world: World, _results: Results) -> Plan:
    """Confirm the announcement.

    The address of the post is asked for, and the post is read: it must name the branch and what
    becomes of it.
    """
    series = release.version.series
    ask, example = "Please post the draft, and give the address.", "https://discuss.python.org/t/1"
    url = yield from manual(world, "post-discuss", "release-manager", ask, example)
    if url is not None:
        post = world.announcements.post(url=url.strip()) or ""
        yield Check(
            f"the post names {series} and {release.facts.ends}",
            url.startswith("https://discuss.python.org/")
            and {series, release.facts.ends} <= set(_words(post)),
            found=f"{len(post)} characters at {url.strip()}",
            code="POST_UNFIT",
            remedy="Give the address of the post, once it can be read by everybody.",
        )


def _words(text: str) -> Iterator[str]:
    return (word.strip(".,:;!?*`()") for word in text.split())


@step(
    phase=PHASE,
    where=HERE,
    after=[restrict_branch, confirm_elsewhere, confirm_post],
    kinds=TRANSITIONS,
)
def close_transition(release: Release, world: World, results: Results) -> Plan:
    """Close the transition.

    One more look, at the release data, the branch and its protection. After this the record is
    sealed.
    """
    series, facts = release.version.series, release.facts
    status = world.announcements.status(series=series)
    yield Check(
        f"{series} is {facts.ends} in the release data",
        status == facts.ends,
        found=in_words(status),
        code="CYCLE_DIFFERS",
        remedy="See who changed it.",
    )
    head = world.repo.remote_ref(remote="upstream", ref=f"refs/heads/{series}")
    yield Check(
        f"{series} is {'gone' if facts.ends_branch else 'there'} upstream",
        (head is None) == facts.ends_branch,
        found=in_words(head),
        code="UPSTREAM_DIVERGED",
        remedy="See who pushed there.",
    )
    rules = set(world.tracker.protection(branch=series).rules)
    kept = set() if facts.ends_branch else set(results[look_at_branch].protection.rules)
    yield Check(
        f"no rule that protected {series} is lost",
        kept <= rules,
        found=", ".join(sorted(rules)),
        code="PROTECTION_CHANGED",
        remedy="Put the protection back as the record has it.",
    )
