"""The protection of a branch on GitHub: read in full, changed narrowly, never written anew.

Freezing is a ruleset of relkit's own, which adds to all that protects the branch otherwise. For the
push of a release it is disabled, and "include administrators" of the branch's protection is off:
everything else stays.
Only a branch that has no protection is given a whole one, and only a whole one is taken away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from relkit.adapters.github import Told, pages
from relkit.adapters.github_rulesets import RULES, Freezes, Ruleset, frozen
from relkit.adapters.rest import Method, Rest, segment
from relkit.adapters.web import quoted
from relkit.errors import WorldError
from relkit.values import ADMINISTRATORS, AS_THEY_ARE, RELEASE_MANAGERS_ONLY, Protection

NOT_PROTECTED = "Branch not protected"
"""What GitHub says of a branch without protection, to those who may see it; others get 404, too."""
SHOWN = ("name", "protection_url", "enabled")
"""What an answer says besides the rules."""
NEEDED = ("required_status_checks", "required_pull_request_reviews", "restrictions")
"""What a new protection has to say at least, if only that there is none."""
OF_RULESET = "ruleset "
MANAGERS = "release-managers"
"""The team of CPython's release managers."""
MANAGED = f"restrictions: {json.dumps({'apps': [], 'teams': [MANAGERS], 'users': []})}"


class _Rule(Told):
    type: str
    ruleset_id: int
    parameters: Any = None

    def __hash__(self) -> int:
        return hash(self.line)

    @property
    def line(self) -> str:
        more = f": {json.dumps(self.parameters, sort_keys=True)}" if self.parameters else ""
        return f"{OF_RULESET}{self.ruleset_id} {self.type}{more}"


@dataclass(frozen=True)
class _Found:
    """What protects a branch: our `own` ruleset, whether it is `frozen` by it, and the rest.

    `others` are the rulesets of other runs; `first` is the one which holds the branch, as it was
    there before ours. `classic` says whether there are rules which no ruleset has.
    """

    protection: Protection
    own: Ruleset | None
    others: tuple[Ruleset, ...]
    first: Ruleset | None
    classic: bool
    frozen: bool


class Branches:
    """The branches of a repository, whose part of the API begins with `base`."""

    def __init__(self, rest: Rest, base: str, mark: str) -> None:
        self._rest = rest
        self._base = base
        self._freezes = Freezes(rest, base, mark)

    def read(self, branch: str) -> Protection:
        """Return the protection of a branch."""
        return self._found(branch).protection

    def set(self, branch: str, wanted: Protection) -> None:
        """Give a branch a protection, by the smallest change; refuse what would rewrite rules.

        Raises `WorldError` (``PROTECTION_DIFFERS``, ``ALREADY_FROZEN``). It is looked at first:
        what is as wanted is left alone. A branch that is opened is locked until the last. One that
        is lifted for the push, as administrators are let through now, has them included until the
        last: killed in between, it is lifted all the same, and never free without that rule.
        """
        found = self._found(branch)
        if found.first is not None:
            if found.own is not None:  # of a process that was killed before it saw the other
                self._freezes.open(found.own)
            raise frozen(branch, found.first)
        if not wanted.locked and (late := [one for one in found.others if one.active]):
            raise frozen(branch, late[0])
        keep = wanted.rules == AS_THEY_ARE
        rules = found.protection.rules if keep else wanted.rules
        change = _change(branch, found, rules)
        own = found.own
        lifts = not wanted.locked and ADMINISTRATORS in set(found.protection.rules) - set(rules)
        if wanted.locked and not found.frozen:
            self._freezes.freeze(branch, own)
        if lifts and own is not None and own.active:
            self._freezes.lift(branch, own)
        self._change(branch, found, rules, change)
        if own is None or wanted.locked or lifts:
            return
        if own.active or ADMINISTRATORS in rules:
            self._freezes.open(own)

    def _found(self, branch: str) -> _Found:
        own, others = self._freezes.of(branch)
        first = next((one for one in others if own is None or one.id < own.id), None)
        listed = pages(self._rest, f"{self._base}/rules/branches/{segment(branch)}", _Rule)
        if not listed.complete:
            raise self._rest.unreadable(f"the rules of {branch} could not be read to their end")
        mine = {rule.type for rule in listed.items if own and rule.ruleset_id == own.id}
        relkits = {one.id for one in (own, *others) if one}
        foreign = [rule.line for rule in listed.items if rule.ruleset_id not in relkits]
        if first is not None:
            foreign.append(f"{OF_RULESET}{first.id} of {first.name}")
        classic = list(_rules(self._classic(branch)))
        is_frozen = set(RULES) <= mine
        rules = sorted({*classic, *foreign}, key=lambda rule: (rule == RELEASE_MANAGERS_ONLY, rule))
        taken = first is not None or any(one.active for one in others)
        locked = is_frozen or taken or "lock_branch" in classic
        protection = Protection(locked=locked, rules=tuple(rules))
        return _Found(protection, own, others, first, bool(classic), is_frozen)

    def _classic(self, branch: str) -> Mapping[str, Any]:
        answer = self._rest.find(self._protection(branch), saying=NOT_PROTECTED)
        if answer is None:
            return {}
        if not isinstance(answer.value, dict):
            raise self._rest.unreadable(answer.said)
        return answer.value

    def _change(self, branch: str, found: _Found, rules: tuple[str, ...], change: str) -> None:
        path = self._protection(branch)
        if change == "make":
            self._rest.write("PUT", path, whole(rules))
        elif change == "take away":
            self._rest.write("DELETE", path)
        elif (ADMINISTRATORS in rules) != (ADMINISTRATORS in found.protection.rules):
            method: Method = "POST" if ADMINISTRATORS in rules else "DELETE"
            self._rest.write(method, f"{path}/enforce_admins")

    def _protection(self, branch: str) -> str:
        return f"{self._base}/branches/{segment(branch)}/protection"


def _change(branch: str, found: _Found, rules: tuple[str, ...]) -> str:
    """Say what makes the rules of a branch these: nothing but administrators, or all or none."""
    here, wanted = set(found.protection.rules), set(rules)
    differs = here ^ wanted
    if not any(rule.startswith(OF_RULESET) for rule in differs):
        if not found.classic:
            return "make" if differs else ""
        if all(rule.startswith(OF_RULESET) for rule in wanted):
            return "take away"
        if differs <= {ADMINISTRATORS}:
            return ""
    more, less = sorted(wanted - here), sorted(here - wanted)
    raise WorldError(
        quoted(f"the rules of {branch} are others: without {more}, with {less}"),
        code="PROTECTION_DIFFERS",
        remedy=f"Nothing was changed. Have an administrator set the rules of {branch} in the "
        "repository's settings.",
    )


def _rules(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each thing that the protection of a branch has."""
    for key, given in value.items():
        reduced = _reduced(given)
        if key in SHOWN or key.endswith("url") or reduced in ({"enabled": False}, None):
            continue
        if key == "enforce_admins":
            yield ADMINISTRATORS
        elif reduced == {"enabled": True}:
            yield key
        else:
            line = f"{key}: {json.dumps(reduced, sort_keys=True)}"
            yield RELEASE_MANAGERS_ONLY if line == MANAGED else line


def _reduced(value: object) -> object:
    """Return a setting without addresses, with people and teams by their names, in order."""
    if isinstance(value, dict):
        if isinstance(name := value.get("slug") or value.get("login"), str):
            return name
        return {key: _reduced(one) for key, one in value.items() if not key.endswith("url")}
    if isinstance(value, list):
        return sorted(map(_reduced, value), key=lambda one: json.dumps(one, sort_keys=True))
    return value


def whole(rules: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a new protection that has these rules, as they were read."""
    fields: dict[str, Any] = dict.fromkeys(NEEDED)
    fields["enforce_admins"] = ADMINISTRATORS in rules
    for rule in rules:
        key, separator, text = (MANAGED if rule == RELEASE_MANAGERS_ONLY else rule).partition(": ")
        if rule == ADMINISTRATORS or rule.startswith(OF_RULESET):
            continue
        try:
            fields[key] = json.loads(text) if separator else True
        except ValueError as error:
            raise WorldError(
                quoted(f"the rule {rule!r} is none that GitHub has told"),
                code="PROTECTION_DIFFERS",
                remedy="Have an administrator set it in the repository's settings.",
            ) from error
    if checks := fields["required_status_checks"]:
        known = ("strict", "contexts")
        fields["required_status_checks"] = {key: checks.get(key, False) for key in known}
    return fields
