"""What a new branch needs around it: labels, rules, release data, bots, builds of the docs."""

from __future__ import annotations

from functools import partial

from relkit.plan import Action, Check, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.branch import BRANCHING, following, start_branch
from relkit.steps.manual import is_request, manual
from relkit.steps.merge import PHASE
from relkit.steps.push import protect, push_upstream
from relkit.values import Protection

CHANGED_ELSEWHERE = {
    "buildbots": "https://github.com/python/buildmaster-config/pull/",
    "daily builds of the docs": "https://github.com/python/docsbuild-scripts/pull/",
    "bot that makes backports": "https://github.com/python/miss-islington/pull/",
    "supported versions in the devguide": "https://github.com/python/devguide/pull/",
}
"""Where people add a new branch by a pull request, and how its address begins (PEP 101, P12)."""


@step(phase=PHASE, where="tracker", after=[push_upstream], kinds=BRANCHING, returns=Protection)
def set_up_branch(release: Release, world: World, _results: Results) -> Plan:
    """Set up the new branch.

    The tracker gets a label for the next series, and the one that asks for a backport to the new
    branch. The branch gets the rules of the branch before it; it stays locked until all branches
    are opened. Without these rules anybody with commit rights could push to it directly.
    """
    version = release.version
    for label in (following(version).series, f"needs backport to {version.series}"):
        yield Action(
            do=partial(world.tracker.create_label, name=label),
            done=Expect(partial(world.tracker.has_label, name=label)),
            undo=partial(world.tracker.delete_label, name=label),
        )
    model = f"3.{version.minor - 1}"
    rules = world.tracker.protection(branch=model).rules
    yield Check(
        f"{model} has rules that {version.series} can take over",
        True if rules else None,
        found="; ".join(rules),
        code="NO_RULES",
        remedy=f"See why {model} is not protected; a branch without rules is open to anybody.",
    )
    locked = Protection(locked=True, rules=rules)
    yield protect(world, version.series, locked, undo=Protection(locked=True, rules=()))
    yield Result(Protection(locked=False, rules=rules))


@step(phase=PHASE, where="PEPs repository", after=[push_upstream], kinds=BRANCHING)
def record_branch(release: Release, world: World, _results: Results) -> Plan:
    """Record the new branch.

    In the release data the series becomes a pre-release, and the next one appears as the one
    that gets features. Builds of the docs, the devguide and the site read it there.
    """
    series = release.version.series
    for name, status in ((series, "prerelease"), (following(release.version).series, "feature")):
        yield Action(
            do=partial(world.announcements.set_status, series=name, status=status),
            done=Expect(partial(world.announcements.status, series=name), equals=status),
            undo="the branch is upstream; its status is true",
        )


@step(phase=PHASE, where="elsewhere", after=[push_upstream], kinds=BRANCHING)
def confirm_infrastructure(release: Release, world: World, results: Results) -> Plan:
    """Confirm what is around the branch.

    Buildbots, builds of the docs, the bot for backports and the devguide are told of a branch by
    pull requests elsewhere. Who made them gives their addresses. The list of buildbots can be
    asked for: builders of the new branch must be there, though they need not have built yet.
    """
    series, commit = release.version.series, results[start_branch].commit
    places = "".join(f"\n* {what}: {place}…" for what, place in CHANGED_ELSEWHERE.items())
    given = yield from manual(
        world,
        "infrastructure",
        "release-manager",
        f"The branch {series} is upstream. Please see to these, by a pull request each:{places}",
        " ".join(f"{place}1" for place in CHANGED_ELSEWHERE.values()),
    )
    if given is None:
        return
    for what, place in CHANGED_ELSEWHERE.items():
        yield Check(
            f"{series} is added: {what}",
            any(is_request(one, place) for one in given.split()),
            found=given,
            code="EVIDENCE_MISSING",
            remedy=f"Give the address of the pull request, {place}NUMBER, with the others.",
            waivable=True,
        )
    bots = world.buildbots.stable(branch=series, commit=commit)
    yield Check(
        f"there are stable builders for {series}",
        bool(bots),
        found=", ".join(bot.name for bot in bots),
        code="NO_BUILDERS",
        remedy="Ask those who run the buildbots; or waive this, if they will come later.",
        waivable=True,
    )
