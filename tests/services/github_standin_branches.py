"""Protection and rulesets of branches, as the stand-in of GitHub has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relkit.adapters.value_files import write_whole
from relkit.values import ADMINISTRATORS, Protection
from services.github_standin_state import (
    BASE,
    HOME,
    Asked,
    GitHubState,
    Place,
    Reply,
    Ruleset,
    answered,
    paged,
    refused,
)

REVIEWS, CHECKS = "require a pull request", "require green checks"


def protection(place: Place, asked: Asked) -> Reply:
    """Show the rules of the rehearsal's tracker; a lock that no ruleset has made is a rule here."""
    branch = asked.names["branch"]
    found, locked = place.tracker.protection(branch=branch), _by_ruleset(place.read(), branch)
    rules = set(found.rules)
    if not rules and (locked or not found.locked):
        return refused(404, "Branch not protected")
    value: dict[str, Any] = {
        "url": HOME,
        "enforce_admins": {"url": HOME, "enabled": ADMINISTRATORS in rules},
        "lock_branch": {"enabled": found.locked and not locked},
        "allow_force_pushes": {"enabled": False},
    }
    if REVIEWS in rules:
        value["required_pull_request_reviews"] = {
            "url": HOME,
            "dismiss_stale_reviews": False,
            "require_code_owner_reviews": False,
            "required_approving_review_count": 1,
            "require_last_push_approval": False,
        }
    if CHECKS in rules:
        value["required_status_checks"] = {
            "url": HOME,
            "contexts_url": HOME,
            "strict": False,
            "contexts": ["All required checks pass"],
            "checks": [{"context": "All required checks pass", "app_id": None}],
        }
    return answered(200, value)


def protected(place: Place, asked: Asked) -> Reply:
    """Replace the whole protection of a branch."""
    body = asked.body
    rules = {
        REVIEWS: body["required_pull_request_reviews"],
        CHECKS: body["required_status_checks"],
        ADMINISTRATORS: body["enforce_admins"],
    }
    _set_rules(place, asked, lambda _: tuple(name for name, given in rules.items() if given))
    return protection(place, asked)


def unprotected(place: Place, asked: Asked) -> Reply:
    _set_rules(place, asked, lambda _: ())
    return Reply(204)


def _set_rules(
    place: Place, asked: Asked, edit: Callable[[tuple[str, ...]], tuple[str, ...]]
) -> None:
    branch = asked.names["branch"]
    found = place.tracker.protection(branch=branch)
    wanted = Protection(locked=found.locked, rules=edit(found.rules))
    place.tracker.set_protection(branch=branch, protection=wanted)


def administrators(place: Place, asked: Asked) -> Reply:
    """Answer how it stands with "include administrators", or turn it on or off."""
    found = place.tracker.protection(branch=asked.names["branch"]).rules
    if not found:
        return refused(404, "Branch not protected")
    if asked.method != "GET":
        rest = tuple(one for one in found if one != ADMINISTRATORS)
        more = (ADMINISTRATORS,) if asked.method == "POST" else ()
        _set_rules(place, asked, lambda _: (*rest, *more))
    if asked.method == "DELETE":
        return Reply(204)
    enabled = asked.method == "POST" or ADMINISTRATORS in found
    return answered(200, {"url": HOME, "enabled": enabled})


def _by_ruleset(state: GitHubState, branch: str) -> bool:
    return any(
        one.enforcement == "active" and one.ref == f"refs/heads/{branch}" and "update" in one.rules
        for one in state.rulesets
    )


def rulesets(place: Place, asked: Asked) -> Reply:
    found = [_ruleset(one, whole=False) for one in place.read().rulesets]
    return answered(200, *paged(asked, found))


def ruleset(place: Place, asked: Asked) -> Reply:
    for one in place.read().rulesets:
        if one.id == int(asked.names["ruleset_id"]):
            return answered(200, _ruleset(one))
    return refused(404, "Not Found")


def ruleset_kept(place: Place, asked: Asked) -> Reply:
    """Make a ruleset, or change one; the branch it names is locked as it says."""
    number = int(asked.names.get("ruleset_id", 0))
    given: dict[str, Any] = {}
    if "conditions" in asked.body:
        given["ref"] = asked.body["conditions"]["ref_name"]["include"][0]
    if "rules" in asked.body:
        given["rules"] = tuple(rule["type"] for rule in asked.body["rules"])
    given |= {key: asked.body[key] for key in ("name", "enforcement") if key in asked.body}
    made: list[Ruleset] = []
    refusals: list[Reply] = []

    def edit(state: GitHubState) -> GitHubState:
        before = {one.id: one for one in state.rulesets}
        if number and number not in before:
            refusals.append(refused(404, "Not Found"))
        elif any(one.name == given.get("name") and one.id != number for one in before.values()):
            refusals.append(refused(422, "Validation Failed: Name must be unique"))
        else:
            new = state.made + 101
            one = before[number].model_copy(update=given) if number else Ruleset(id=new, **given)
            made.append(one)
            told = {"rulesets": tuple({**before, one.id: one}.values())}
            return state.model_copy(update={**told, "made": state.made + (not number)})
        return state

    place.change(edit)
    if refusals:
        return refusals[0]
    _mark(place, made[0].ref.removeprefix("refs/heads/"))
    return answered(200 if number else 201, _ruleset(made[0]))


def ruleset_gone(place: Place, asked: Asked) -> Reply:
    gone: list[Ruleset] = []

    def edit(state: GitHubState) -> GitHubState:
        number = int(asked.names["ruleset_id"])
        gone.extend(one for one in state.rulesets if one.id == number)
        rest = tuple(one for one in state.rulesets if one.id != number)
        return state.model_copy(update={"rulesets": rest})

    place.change(edit)
    if not gone:
        return refused(404, "Not Found")
    _mark(place, gone[0].ref.removeprefix("refs/heads/"))
    return Reply(204)


def _mark(place: Place, branch: str) -> None:
    if _by_ruleset(place.read(), branch):
        write_whole(place.marker(branch), b"")
    else:
        place.marker(branch).unlink(missing_ok=True)


def _ruleset(one: Ruleset, *, whole: bool = True) -> dict[str, Any]:
    value: dict[str, Any] = {
        "id": one.id,
        "name": one.name,
        "target": "branch",
        "source_type": "Repository",
        "source": "python/cpython",
        "enforcement": one.enforcement,
        "node_id": f"R{one.id}",
    }
    if whole:
        value["conditions"] = {"ref_name": {"include": [one.ref], "exclude": []}}
        value["rules"] = [{"type": rule} for rule in one.rules]
        value["bypass_actors"] = []
    return value


def rules_of(place: Place, asked: Asked) -> Reply:
    """Return the rules of all active rulesets that a branch has."""
    ref = f"refs/heads/{asked.names['branch']}"
    source = {"ruleset_source_type": "Repository", "ruleset_source": "python/cpython"}
    found = [
        {"type": rule, **source, "ruleset_id": one.id}
        for one in place.read().rulesets
        if one.enforcement == "active" and one.ref == ref
        for rule in one.rules
    ]
    return answered(200, *paged(asked, found))


PROTECTION = f"{BASE}/branches/{{branch}}/protection"
ROUTES = (
    ("GET", PROTECTION, protection),
    ("PUT", PROTECTION, protected),
    ("DELETE", PROTECTION, unprotected),
    *((method, f"{PROTECTION}/enforce_admins", administrators) for method in ("GET", "POST")),
    ("DELETE", f"{PROTECTION}/enforce_admins", administrators),
    ("GET", f"{BASE}/rulesets", rulesets),
    ("POST", f"{BASE}/rulesets", ruleset_kept),
    ("GET", f"{BASE}/rulesets/{{ruleset_id}}", ruleset),
    ("PUT", f"{BASE}/rulesets/{{ruleset_id}}", ruleset_kept),
    ("DELETE", f"{BASE}/rulesets/{{ruleset_id}}", ruleset_gone),
    ("GET", f"{BASE}/rules/branches/{{branch}}", rules_of),
)
