"""The steps after the publication, planned with ports that answer what a test tells them.

How they behave in a whole rehearsal is in test_steps.py and test_rehearsal.py.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import test_manifest
from hypothesis import given
from hypothesis import strategies as st

from relkit import values
from relkit.kinds import RELEASES, Kind, where
from relkit.manifest import site_files
from relkit.plan import Action, Check, Evidence, Result, Wait
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, Step, needed, steps_of
from relkit.steps.announce import confirm_announcements, draft_announcements
from relkit.steps.branch import begin_next_series, start_branch
from relkit.steps.finish import (
    close_run,
    open_branch,
    restore_blockers,
    verify_as_stranger,
)
from relkit.steps.freeze import Frozen
from relkit.steps.infrastructure import (
    CHANGED_ELSEWHERE,
    confirm_infrastructure,
    record_branch,
    set_up_branch,
)
from relkit.steps.merge import doubled, merge_back, merge_release, set_post_release_version
from relkit.steps.push import push_upstream
from relkit.values import (
    Buildbot,
    Change,
    CloneState,
    Commit,
    Issue,
    Issues,
    Person,
    Protection,
    Tag,
)

HEAD, MADE, MERGED, EDITED, POST = "1" * 40, "2" * 40, "3" * 40, "4" * 40, "5" * 40
BRANCH, NEXT, BESIDE, TAG = "6" * 40, "7" * 40, "8" * 40, "9" * 40
RULES = ("require a pull request",)
RELEASE = {
    Kind.ALPHA: Release.parse("3.15.0a1", "", "2026-01-05"),
    Kind.BETA_1: Release.parse("3.15.0b1", "", "2026-05-05"),
    Kind.RC: Release.parse("3.15.0rc2", "", "2026-09-01", HEAD),
    Kind.FINAL: Release.parse("3.15.0", "", "2026-10-01"),
    Kind.BUGFIX: Release.parse("3.14.2", "", "2025-12-05"),
    Kind.SECURITY: Release.parse("3.12.13", "", "2026-03-03"),
}
README = "This is Python version {}\n====\n\nSee <https://github.com/python/cpython/tree/3.15/x>.\n"
ENTRY = ".. date: 2026-01-01-00-00-00\n.. gh-issue: 1\n.. nonce: {}\n.. section: {}\n\n{}\n\n..\n"


class Port:
    """A port whose methods give what they are told to: a value, or what a function makes."""

    def __init__(self, **answers: object) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Callable[..., object]:
        def method(**given: object) -> object:
            answer = self._answers.get(name)
            return answer(**given) if callable(answer) else answer

        method.__name__ = name
        return method


def world_with(**ports: dict[str, Any]) -> World:
    """Return a world in which everything is as it should be, but for these answers."""
    healthy: dict[str, dict[str, Any]] = {
        "repo": {
            "remote_ref": lambda **asked: HEAD if asked["remote"] == "upstream" else None,
            "remote_refs": lambda **asked: dict.fromkeys(asked["refs"]),
            "changes": (Change(status="M", path="README.rst"),),
            "contains": True,
            "paths": ("Misc/NEWS.d/next/Library/2026-02-02-00-00-00.gh-issue-2.other1.rst",),
            "clone_state": CloneState(branch="main", head=POST),
        },
        "tracker": {
            "protection": Protection(locked=False, rules=RULES),
            "blockers": Issues(items=(), complete=True),
        },
        "announcements": {},
        "people": {"told": False},
        "buildbots": {
            "stable": (Buildbot(name="AMD64 Debian", online=True, commit=None, result=None),)
        },
    }
    for name, answers in ports.items():
        healthy[name] = healthy.get(name, {}) | answers
    made = {name: Port(**answers) for name, answers in healthy.items()}
    person = Person(name="Rika", role="release-manager", time_zone="Europe/London")
    policy = SimpleNamespace(person=lambda _: person, gpg_fingerprint="F")
    return cast("World", SimpleNamespace(**made, nonce="run", rehearsal=True, policy=policy))


def texts(**paths: str) -> Callable[..., str | None]:
    """Return a `read_text` for a tree: README, header, news, whatsnew, by these names."""
    names = {"README.rst": "readme", "Include/patchlevel.h": "header"}

    def read(*, commit: str, path: str) -> str | None:
        assert commit
        short = "news" if path.startswith("Misc/NEWS.d/") else "whatsnew"
        return paths.get(names.get(path, short))

    return read


def header(version: str) -> str:
    return f'#define PY_MINOR_VERSION 15\n#define PY_VERSION   "{version}"\n'


def commit(name: str, *parents: str) -> Commit:
    return Commit(commit=name, tree=name, parents=parents)


def results(release: Release, **changed: dict[str, object]) -> Results:
    """Return what the steps before left, in a release made on the head of its branch."""
    recorded: dict[str, values.Value] = {
        "freeze-branch": Frozen(head=HEAD, protection=Protection(locked=False, rules=RULES)),
        "choose-base": commit(HEAD),
        "commit-release": commit(MADE, HEAD),
        "tag-release": Tag(name=release.tag, tag_object=TAG, commit=MADE, signer="F"),
        "close-manifest": test_manifest.manifest_of(release),
        "merge-release": commit(MADE, HEAD),
        "set-post-release-version": commit(EDITED, MADE),
        "merge-back": commit(POST, MADE),
        "edit-branch": commit(EDITED, POST),
        "start-branch": commit(BRANCH, POST),
        "edit-next-series": commit(EDITED, POST),
        "begin-next-series": commit(NEXT, POST),
        "set-up-branch": Protection(locked=False, rules=("set up",)),
    }
    known = {name: value.to_data() for name, value in recorded.items()}
    return Results(known | {name.replace("_", "-"): x for name, x in changed.items()})


def beside(release: Release) -> Results:
    """Return what the steps before left, in a release made from a candidate with picks."""
    return results(
        release,
        choose_base=commit(BESIDE).to_data(),
        merge_release=commit(MERGED, HEAD, MADE).to_data(),
    )


def planned(step: Step[Any], kind: Kind, world: World, given: Results | None = None) -> list[Any]:
    return list(step.planner(RELEASE[kind], world, given or results(RELEASE[kind])))


def failing(items: list[Any]) -> list[str]:
    return [one.code for one in items if isinstance(one, Check) and not one.ok and not one.warns]


def actions(items: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [one for one in items if isinstance(one, Action)]
    return [(one.do.func.__name__, one.do.keywords) for one in found]


def undone(item: Action) -> tuple[str, dict[str, Any]] | str:
    return (
        item.undo if isinstance(item.undo, str) else (item.undo.func.__name__, item.undo.keywords)
    )


# --- merge -------------------------------------------------------------------------------------


def test_a_release_of_the_whole_branch_needs_no_merge() -> None:
    items = planned(merge_release, Kind.RC, world_with())
    assert [one.of for one in items if isinstance(one, Result)] == [commit(MADE, HEAD)]
    assert len(items) == 1


def test_a_release_beside_its_branch_is_merged_into_the_frozen_head() -> None:
    [(name, given)] = actions(
        planned(merge_release, Kind.RC, world_with(), beside(RELEASE[Kind.RC]))
    )
    assert name == "merge"
    assert (given["base"], given["other"], given["version"]) == (HEAD, MADE, "3.15.0rc2")


@pytest.mark.parametrize(
    ("kind", "made", "base"),
    [(Kind.ALPHA, results, MADE), (Kind.RC, results, MADE), (Kind.RC, beside, MERGED)],
    ids=["alpha", "whole branch", "beside"],
)
def test_the_version_after_is_set_on_what_will_be_the_branch(
    kind: Kind, made: Callable[[Release], Results], base: str
) -> None:
    items = planned(set_post_release_version, kind, world_with(), made(RELEASE[kind]))
    [(name, given)] = actions(items)
    assert (name, given["editor"], given["base"]) == ("edit", "post-version", base)


def after_rc(news: str = "", title: str = "3.15.0 release candidate 2") -> dict[str, Any]:
    news = news or ENTRY.format("abcdef", "Library", "Mended.")
    stamp = header("3.15.0rc2+dev")
    return {"read_text": texts(readme=README.format(title), header=stamp, news=news)}


def test_on_the_head_of_the_branch_the_line_is_straight() -> None:
    items = planned(merge_back, Kind.RC, world_with(repo=after_rc()))
    assert not failing(items)
    [(name, given)] = actions(items)
    assert (name, given["parent"], given["tree_of"]) == ("commit", MADE, EDITED)
    assert "also" not in given


def test_beside_the_branch_one_commit_joins_the_frozen_head_and_the_release() -> None:
    items = planned(merge_back, Kind.RC, world_with(repo=after_rc()), beside(RELEASE[Kind.RC]))
    assert not failing(items)
    [(_, given)] = actions(items)
    assert (given["parent"], given["also"]) == (HEAD, MADE)
    [action] = [one for one in items if isinstance(one, Action)]
    assert undone(action) == ("take_back", {"branch": "3.15", "to": MADE})


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"header": header("3.15.0rc2")}, "POST_VERSION"),
        ({"header": header("3.15.0rc1+dev")}, "POST_VERSION"),
        ({"readme": README.format("3.15.0 release candidate 1")}, "POST_README"),
        ({"readme": None}, "POST_README"),
        ({"news": ENTRY.format("other1", "Library", "Told and waiting.")}, "NEWS_DOUBLED"),
        ({"news": None}, "NEWS_DOUBLED"),
    ],
)
def test_a_merged_tree_that_is_wrong_is_not_committed(changed: dict[str, Any], code: str) -> None:
    healthy = {"header": header("3.15.0rc2+dev"), "news": ENTRY.format("abcdef", "Library", "x")}
    healthy["readme"] = README.format("3.15.0 release candidate 2")
    world = world_with(repo={"read_text": texts(**(healthy | changed))})
    assert failing(planned(merge_back, Kind.RC, world)) == [code]


@given(st.lists(st.from_regex(r"[A-Za-z0-9_-]{6}", fullmatch=True), unique=True, min_size=2))
def test_exactly_the_waiting_entries_that_were_told_are_doubled(nonces: list[str]) -> None:
    told, waiting = nonces[::2], nonces[1:]
    news = "".join(ENTRY.format(one, "Library", f".. nonce of {one}") for one in told)
    paths = {f"Misc/NEWS.d/next/Tests/2026-01-01.gh-issue-1.{one}.rst": one for one in waiting}
    found = doubled(news, ("Misc/NEWS.d/next/README.rst", *paths))
    assert [paths[one] for one in found] == [one for one in waiting if one in told]


# --- a new branch ------------------------------------------------------------------------------


def test_the_new_branch_begins_after_the_release_and_ends_with_an_undo() -> None:
    repo = {"read_text": texts(readme=README.format("3.15.0 beta 1"))}
    items = planned(start_branch, Kind.BETA_1, world_with(repo=repo))
    assert not failing(items)
    [(name, given)] = actions(items)
    assert (name, given["branch"], given["parent"]) == ("commit", "3.15", POST)
    [action] = [one for one in items if isinstance(one, Action)]
    assert undone(action) == ("take_back", {"branch": "3.15", "to": None})


@pytest.mark.parametrize(
    ("line", "stray"),
    [
        ("https://github.com/python/cpython/tree/main/Misc/NEWS.d", True),
        ("<https://github.com/python/cpython/commits/main>`_.", True),
        ("https://dev.azure.com/x?branchName=main", True),
        ("https://github.com/python/cpython/tree/3.15/Misc/NEWS.d", False),
        ("https://docs.python.org/dev/mainframe", False),
        ("the main branch gets features", False),
    ],
)
def test_on_the_new_branch_no_address_in_the_readme_leads_to_main(line: str, stray: bool) -> None:  # noqa: FBT001 (of a table)
    repo = {"read_text": texts(readme=f"{README.format('3.15.0 beta 1')}{line}\n")}
    found = failing(planned(start_branch, Kind.BETA_1, world_with(repo=repo)))
    assert found == (["BRANCH_LINKS"] if stray else [])


def test_main_goes_on_as_the_next_version() -> None:
    repo = {"read_text": texts(header=header("3.16.0a0"), whatsnew="   3.16.rst\n   3.15.rst")}
    items = planned(begin_next_series, Kind.BETA_1, world_with(repo=repo))
    assert not failing(items)
    [(_, given)] = actions(items)
    assert (given["branch"], given["message"]) == ("main", "Python 3.16.0a0")


@pytest.mark.parametrize(
    ("tree", "code"),
    [
        ({"header": header("3.15.0b1+dev"), "whatsnew": "3.16.rst"}, "NEXT_VERSION"),
        ({"header": header("3.16.0a0"), "whatsnew": "3.15.rst"}, "WHATSNEW_MISSING"),
        ({"header": header("3.16.0a0")}, "WHATSNEW_MISSING"),
    ],
)
def test_main_is_not_committed_if_it_is_not_the_next_version(
    tree: dict[str, str], code: str
) -> None:
    world = world_with(repo={"read_text": texts(**tree)})
    assert failing(planned(begin_next_series, Kind.BETA_1, world)) == [code]


# --- push --------------------------------------------------------------------------------------


def test_branch_and_tag_go_upstream_in_one_push_between_lifting_and_locking() -> None:
    items = planned(push_upstream, Kind.ALPHA, world_with())
    assert not failing(items)
    (first, lift), (second, push), (third, lock) = actions(items)
    assert [first, second, third] == ["set_protection", "push", "set_protection"]
    assert [one.temporary for one in items if isinstance(one, Action)] == [True, False, False]
    assert (lift["protection"].locked, lock["protection"].locked) == (False, True)
    moved = {one.ref: (one.old, one.new) for one in push["updates"]}
    assert moved == {"refs/heads/main": (HEAD, POST), "refs/tags/v3.15.0a1": (None, TAG)}


def test_with_the_first_beta_both_branches_and_the_tag_go_in_the_same_push() -> None:
    items = planned(push_upstream, Kind.BETA_1, world_with())
    _, (_, push), main, new = actions(items)
    assert {one.ref: (one.old, one.new) for one in push["updates"]} == {
        "refs/heads/main": (HEAD, NEXT),
        "refs/heads/3.15": (None, BRANCH),
        "refs/tags/v3.15.0b1": (None, TAG),
    }
    assert [one[1]["branch"] for one in (main, new)] == ["main", "3.15"]
    assert new[1]["protection"].locked
    assert len([one for one in items if isinstance(one, Evidence)]) == 2


@pytest.mark.parametrize(
    ("ref", "code"), [("refs/tags/v3.15.0b1", "TAG_EXISTS"), ("refs/heads/3.15", "BRANCH_EXISTS")]
)
def test_a_ref_that_somebody_else_made_is_not_pushed_over(ref: str, code: str) -> None:
    repo = {"remote_refs": lambda **asked: dict.fromkeys(asked["refs"]) | {ref: BESIDE}}
    assert failing(planned(push_upstream, Kind.BETA_1, world_with(repo=repo))) == [code]


def test_a_branch_that_moved_is_not_pushed() -> None:
    repo = {"remote_ref": BESIDE}
    assert failing(planned(push_upstream, Kind.ALPHA, world_with(repo=repo))) == ["FREEZE_BROKEN"]


def test_there_is_no_way_back_from_the_push_in_any_release() -> None:
    assert push_upstream.irreversible
    assert push_upstream.gate == "push"
    assert frozenset(push_upstream.kinds) == RELEASES


@pytest.mark.parametrize("kind", sorted(RELEASES))
def test_the_run_is_closed_last_and_after_everything(kind: Kind) -> None:
    steps = steps_of(kind)
    seen: set[Step[Any]] = {close_run}
    for one in reversed(steps):
        if one in seen:
            seen |= needed(one, kind)
    assert steps[-1] is close_run
    assert seen == set(steps)


# --- around the new branch ---------------------------------------------------------------------


def test_a_new_branch_gets_labels_and_the_rules_of_the_branch_before() -> None:
    asked = []

    def protection(*, branch: str) -> Protection:
        asked.append(branch)
        return Protection(locked=True, rules=RULES)

    world = world_with(tracker={"protection": protection})
    items = planned(set_up_branch, Kind.BETA_1, world)
    assert not failing(items)
    assert asked == ["3.14"]
    *labels, (_, protect) = actions(items)
    assert [given["name"] for _, given in labels] == ["3.16", "needs backport to 3.15"]
    assert (protect["branch"], protect["protection"].rules) == ("3.15", RULES)
    assert items[-1].of == Protection(locked=False, rules=RULES)


def test_rules_that_are_not_there_are_not_taken_over() -> None:
    world = world_with(tracker={"protection": Protection(locked=False, rules=())})
    assert failing(planned(set_up_branch, Kind.BETA_1, world)) == ["NO_RULES"]


def test_the_release_data_learns_of_both_series() -> None:
    found = actions(planned(record_branch, Kind.BETA_1, world_with()))
    assert [tuple(given.values()) for _, given in found] == [
        ("3.15", "prerelease"),
        ("3.16", "feature"),
    ]


def evidence(text: str) -> Callable[..., values.Testimony]:
    return lambda *, name: values.Testimony(
        name=name, who="Rika", role="release-manager", text=text
    )


def test_what_is_around_a_branch_is_asked_once_and_not_checked_before_it_is_said() -> None:
    items = planned(confirm_infrastructure, Kind.BETA_1, world_with())
    [wait] = items
    assert isinstance(wait, Wait)
    assert wait.start is not None
    assert "evidence: run-infrastructure" in wait.start.keywords.values()


def test_each_place_that_must_know_a_branch_needs_its_pull_request() -> None:
    links = [f"{place}17" for place in CHANGED_ELSEWHERE.values()]
    world = world_with(people={"testimony": evidence(" ".join(links))})
    assert not failing(planned(confirm_infrastructure, Kind.BETA_1, world))
    world = world_with(people={"testimony": evidence(f"{links[0]} 17 done")})
    assert failing(planned(confirm_infrastructure, Kind.BETA_1, world)) == ["EVIDENCE_MISSING"] * 3


def test_a_branch_without_builders_can_only_be_waived() -> None:
    links = " ".join(f"{place}1" for place in CHANGED_ELSEWHERE.values())
    world = world_with(people={"testimony": evidence(links)}, buildbots={"stable": ()})
    items = planned(confirm_infrastructure, Kind.BETA_1, world)
    assert failing(items) == ["NO_BUILDERS"]
    assert all(one.waivable for one in items if isinstance(one, Check))


# --- announcements -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "channels"),
    [
        (Kind.ALPHA, ["discuss", "blog", "committers"]),
        (Kind.BUGFIX, ["discuss", "blog", "committers"]),
        (Kind.SECURITY, ["discuss", "blog", "committers", "advisory"]),
    ],
)
def test_the_channels_are_those_of_the_kind(kind: Kind, channels: list[str]) -> None:
    drafts = actions(planned(draft_announcements, kind, world_with()))
    assert [given["channel"] for _, given in drafts] == channels


def test_an_advisory_has_what_the_news_say_under_security() -> None:
    news = ENTRY.format("a", "Security", "Count :func:`beads` again. CVE-2026-1234")
    news += ENTRY.format("b", "Library", "Of no concern.")
    world = world_with(repo={"read_text": texts(news=news)})
    *_, (_, given) = actions(planned(draft_announcements, Kind.SECURITY, world))
    assert "* gh-1: Count `beads` again. CVE-2026-1234\n" in given["text"]
    assert "no concern" not in given["text"]


def told_at(links: dict[str, str], posts: dict[str, str]) -> World:
    """Return a world in which channels were posted at links, where these texts are."""

    def said(*, name: str) -> values.Testimony | None:
        link = links.get(name.rpartition("-")[2])
        return evidence(link)(name=name) if link else None

    return world_with(
        people={"testimony": said}, announcements={"post": lambda *, url: posts.get(url)}
    )


GOOD = "Python 3.15.0a1 at https://www.python.org/downloads/release/python-3150a1/"
FORUM, BLOG = "https://discuss.python.org/t/1/", "https://blog.python.org/1/"


def test_all_posts_are_asked_for_at_once() -> None:
    items = planned(confirm_announcements, Kind.SECURITY, world_with())
    assert [one.what for one in items] == [
        "evidence: post-discuss",
        "evidence: post-blog",
        "evidence: post-advisory",
    ]


def test_posts_that_name_the_release_and_its_page_are_enough() -> None:
    world = told_at({"discuss": FORUM, "blog": BLOG}, {FORUM: GOOD, BLOG: GOOD})
    items = planned(confirm_announcements, Kind.ALPHA, world)
    assert not failing(items)
    assert all(one.ready for one in items if isinstance(one, Wait))


@pytest.mark.parametrize(
    ("link", "post", "codes"),
    [
        ("https://discuss.python.org.evil.example/t/1/", GOOD, ["POST_PLACE", "POST_DIFFERS"]),
        (
            "https://evil.example/https://discuss.python.org/t/1/",
            GOOD,
            ["POST_PLACE", "POST_DIFFERS"],
        ),
        (f"{FORUM} and more", GOOD, ["POST_PLACE", "POST_DIFFERS"]),
        (FORUM, "Python 3.15.0a1 is out", ["POST_DIFFERS"]),
        (FORUM, GOOD.replace("3.15.0a1 at", "3.15.0a2 at"), ["POST_DIFFERS"]),
        (FORUM, None, ["POST_DIFFERS"]),
    ],
)
def test_a_post_elsewhere_or_of_something_else_is_no_evidence(
    link: str, post: str | None, codes: list[str]
) -> None:
    posts = {BLOG: GOOD} | ({link: post} if post else {})
    items = planned(
        confirm_announcements, Kind.ALPHA, told_at({"discuss": link, "blog": BLOG}, posts)
    )
    assert failing(items) == codes


# --- open and close ----------------------------------------------------------------------------


def test_both_branches_are_opened_with_their_own_rules() -> None:
    (_, gone), *opened = actions(planned(open_branch, Kind.BETA_1, world_with()))
    [update] = gone["updates"]
    assert (update.ref, update.old, update.new) == ("refs/heads/release-3.15.0b1", MADE, None)
    assert [(given["branch"], given["protection"]) for _, given in opened] == [
        ("main", Protection(locked=False, rules=RULES)),
        ("3.15", Protection(locked=False, rules=("set up",))),
    ]


def closing(kind: Kind, **ports: dict[str, Any]) -> list[Any]:
    release = RELEASE[kind]
    tag = Tag(name=release.tag, tag_object=TAG, commit=MADE, signer="F")
    ports["repo"] = {"remote_tag": tag} | ports.get("repo", {})
    return planned(close_run, kind, world_with(**ports))


def test_a_healthy_run_is_closed_quietly() -> None:
    assert not failing(closing(Kind.ALPHA))


@pytest.mark.parametrize(
    ("ports", "code"),
    [
        ({"tracker": {"protection": Protection(locked=True, rules=RULES)}}, "PROTECTION_CHANGED"),
        ({"tracker": {"protection": Protection(locked=False, rules=())}}, "PROTECTION_CHANGED"),
        ({"repo": {"remote_ref": MADE}}, "FORK_BRANCH_LEFT"),
        ({"repo": {"remote_tag": None}}, "UPSTREAM_DIVERGED"),
        ({"repo": {"clone_state": None}}, "CLONE_DIRTY"),
    ],
)
def test_a_run_is_not_closed_on_a_world_that_is_not_put_back(
    ports: dict[str, dict[str, Any]], code: str
) -> None:
    assert failing(closing(Kind.ALPHA, **ports)) == [code]


def strangers_view(kind: Kind, latest: str, current: str) -> list[Any]:
    """Return what a stranger finds where `latest` is offered first and `current` is linked."""
    release = RELEASE[kind]
    manifest = test_manifest.manifest_of(release)
    known = {one.name: one.sha256 for one in manifest.subjects}

    def fetch(*, path: str) -> values.Fetched:
        folder, _, name = path.rpartition("/")
        assert folder == "/ftp/python/doc/current"
        found = current in name
        return values.Fetched(
            status=200 if found else 404, size=1, sha256=known[name] if found else "0" * 64
        )

    world = world_with(
        repo={"remote_tag": values.Tag(name=release.tag, tag_object=TAG, commit=MADE, signer="F")},
        builders={
            "state": values.BuildState(status="done"),
            "result": values.BuildResult(files=(), facts={"version": str(release.version)}),
        },
        public={"verify": True, "fetch": fetch},
        website={"latest": latest, "files": site_files(release, manifest)},
    )
    return planned(verify_as_stranger, kind, world)


@pytest.mark.parametrize(
    ("kind", "latest", "current"),
    [
        (Kind.ALPHA, "python-3141", "3.14.1"),
        (Kind.RC, "python-3146", "3.14.6"),
        (Kind.FINAL, "python-3150", "3.15.0"),
        (Kind.BUGFIX, "python-3142", "3.14.2"),
        (Kind.SECURITY, "python-3143", "3.14.3"),
    ],
)
def test_a_stranger_finds_only_the_newest_stable_release_offered_first(
    kind: Kind, latest: str, current: str
) -> None:
    assert not failing(strangers_view(kind, latest, current))


@pytest.mark.parametrize(
    ("kind", "latest", "current", "codes"),
    [
        (Kind.ALPHA, "python-3150a1", "3.14.1", ["LATEST_WRONG"]),
        (Kind.RC, "python-3150rc2", "3.15.0rc2", ["LATEST_WRONG", "CURRENT_WRONG"]),
        (Kind.FINAL, "python-3146", "3.14.6", ["LATEST_WRONG", "CURRENT_WRONG"]),
        (Kind.SECURITY, "python-3143", "3.12.13", ["CURRENT_WRONG"]),
    ],
)
def test_a_stranger_is_led_to_nothing_else(
    kind: Kind, latest: str, current: str, codes: list[str]
) -> None:
    assert failing(strangers_view(kind, latest, current)) == codes


@pytest.mark.parametrize("kind", [Kind.ALPHA, Kind.FINAL, Kind.SECURITY])
def test_deferred_blockers_block_the_next_release(kind: Kind) -> None:
    issue = Issue(number=7, title="x", labels=("3.15", "deferred-blocker"))
    world = world_with(tracker={"blockers": Issues(items=(issue,), complete=True)})
    items = planned(restore_blockers, kind, world)
    [(name, given)] = actions(items)
    assert (name, given) == (
        "relabel",
        {"number": 7, "remove": "deferred-blocker", "add": "release-blocker"},
    )


def test_only_kinds_that_can_have_picks_merge_and_only_the_first_beta_branches() -> None:
    assert frozenset(merge_release.kinds) == where(picks=True)
    for one in (start_branch, begin_next_series, set_up_branch, record_branch):
        assert frozenset(one.kinds) == {Kind.BETA_1}
