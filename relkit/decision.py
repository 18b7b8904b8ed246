"""What a person says about a plan, in the form that is signed: an in-toto Statement, version 1.

Its subjects are the plan, by its digest, and every artifact the plan is about; the predicate says
who says what about it, in which run, and what the run knew then. Stock tools verify the signature
over these bytes; here stands what they cannot know: that it is the answer to exactly this request.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, Field, ValidationError

from relkit.building.statement import Statement, Subject, read_statement, statement
from relkit.errors import CheckError, GateError, VerificationError
from relkit.policy import Policy
from relkit.records import Time
from relkit.values import Digest, Identity, Json, Request, Signed, Value

DECISION = "https://relkit.invalid/decision/v1"
NAMESPACE = "decision@relkit"
"""What SSH signatures of decisions are made for, so that none made for anything else counts."""
SKEW = timedelta(minutes=5)
"""By how much the clock of a person may be ahead of the run's."""

Verdict = Literal["approve", "reject"]


def _readable(text: str) -> str:
    if not all(one.isprintable() or one == "\n" for one in text):
        raise ValueError("it has control characters")
    return text


def _whole_seconds(time: datetime) -> datetime:
    if time.microsecond:
        raise ValueError("not in whole seconds")
    return time


Words = Annotated[str, Field(max_length=4000), AfterValidator(_readable)]
"""What a person writes: it is shown to others, and in terminals."""


class Decision(Value):
    """The predicate: fields of the request, and what is said. Times are UTC, whole seconds.

    `typed` is what was typed back to approve (`Request.typed`); where nothing was, the predicate
    has no such field.
    """

    release: str
    revision: int
    step: str
    nonce: str
    plan: Digest
    policy: Digest
    head: Digest
    expires: Time
    waives: str
    who: Words
    role: Words
    verdict: Verdict
    reason: Words
    at: Annotated[Time, AfterValidator(_whole_seconds)]
    typed: Words = ""

    def to_data(self) -> Json:
        """Return the predicate as plain JSON data."""
        return self.model_dump(mode="json", exclude=None if self.typed else {"typed"})


class Verifier(Protocol):
    """Verifies signatures, such as `relkit.ports.Attestations`."""

    def verify(self, *, signed: Signed, identity: Identity) -> None:
        """Raise `VerificationError` unless exactly this identity signed exactly this text."""


def decision_text(  # noqa: PLR0913 (what a person says)
    request: Request,
    *,
    who: str,
    role: str,
    verdict: Verdict,
    reason: str,
    at: datetime,
    typed: str = "",
) -> str:
    """Return the statement that a person signs to answer a request.

    `typed` is what the person typed back; only an approval says it. Raises `GateError`:
    ``APPROVAL_MALFORMED`` for what cannot be said so, ``PRODUCTION_UNCONFIRMED``.
    """
    given = {"who": who, "role": role, "verdict": verdict, "reason": reason.strip(), "at": at}
    if verdict == "approve":
        given["typed"] = _typed_back(request, typed)
    try:
        said = Decision.model_validate(_of(request) | given)
        return statement(about(request), predicate_type=DECISION, predicate=said.to_data())
    except (CheckError, ValidationError) as error:
        raise _malformed(f"of {who} on {request.step}", plain(str(error), 300)) from error


def _typed_back(request: Request, typed: str) -> str:
    """Return the name that was typed back, if it is the one the request asks for.

    One that nobody asked for is refused as well: the request may be of another world than its
    reader thinks, or was altered where it lay.
    """
    given, wanted = typed.strip(), request.typed
    if given == wanted:
        return given
    world = f"this is the world {wanted}, no rehearsal" if wanted else "no name is asked for here"
    do = f"To approve what cannot be undone, type {wanted}" if wanted else "Approve without a name"
    raise GateError(
        f"{world}; typed back was {given!a}",
        code="PRODUCTION_UNCONFIRMED",
        remedy=f"Nothing was signed. {do}, if this is the request you mean.",
    )


def check_decision(
    signed: Signed,
    *,
    requests: Iterable[Request],
    policy: Policy,
    verifier: Verifier,
    now: datetime,
) -> Decision:
    """Return the decision in an answer to one of these requests (of one plan, asked anew).

    Raises `GateError`: ``APPROVAL_MALFORMED`` (no such statement, or in another form),
    ``APPROVAL_FOREIGN`` (another run, revision, step, plan, policy or request),
    ``APPROVAL_SUBJECTS``, ``APPROVAL_EXPIRED``,
    ``APPROVAL_TIME`` (from the future), ``APPROVAL_ROLE`` (not asked, or not that person's),
    ``REASON_MISSING``, ``PRODUCTION_UNCONFIRMED`` (what was typed back is not what was asked),
    ``APPROVAL_SIGNATURE``.
    """
    said, found = _read(signed.text)
    request = _answered(said, list(requests))
    if found.subjects != tuple(sorted(about(request), key=lambda one: one.name)):
        raise _refused(said, "it is about other files than the plan", "APPROVAL_SUBJECTS")
    if now > request.expires or said.at > request.expires:
        raise _refused(
            said, f"it came after {request.expires:%Y-%m-%d %H:%M} UTC", "APPROVAL_EXPIRED"
        )
    if said.at > now + SKEW:
        raise _refused(said, f"it says it is of {said.at:%Y-%m-%d %H:%M} UTC", "APPROVAL_TIME")
    if said.role not in request.roles:
        raise _refused(said, f"asked are {', '.join(request.roles)}", "APPROVAL_ROLE")
    if not said.reason.strip():
        raise _refused(said, "it gives no reason", "REASON_MISSING")
    if said.verdict == "approve" and said.typed != request.typed:
        why = f"typed back was {said.typed!a}, asked was for {request.typed!a}"
        raise _refused(said, why, "PRODUCTION_UNCONFIRMED")
    _require_signature(said, signed, policy, verifier)
    return said


def read_decision(text: str) -> Decision:
    """Return what a statement says, whoever signed it.

    Raises `GateError` (``APPROVAL_MALFORMED``).
    """
    return _read(text)[0]


def _read(text: str) -> tuple[Decision, Statement]:
    try:
        found = read_statement(text, predicate_type=DECISION)
        said = Decision.model_validate(found.predicate)
    except (CheckError, ValidationError) as error:
        raise _malformed(text, plain(str(error).splitlines()[0], 300)) from error
    if said.to_data() != found.predicate:  # pydantic takes "1" for 1, and 0 for a time
        raise _malformed(text, "its fields are not of their types")
    return said, found


def _malformed(text: str, why: str) -> GateError:
    return GateError(
        f"an answer cannot be read ({plain(text, 100)}): {why}",
        code="APPROVAL_MALFORMED",
        remedy="Have it made anew: relkit decide REQUEST.",
    )


def plain(text: str, length: int = 60) -> str:
    """Return the beginning of a foreign text without what a terminal or an editor obeys."""
    cut = text if len(text) <= length else f"{text[:length]}…"
    return "".join(one if one.isprintable() else " " for one in cut)


def _answered(said: Decision, requests: list[Request]) -> Request:
    """Return the request that is answered; the first word that differs is named otherwise."""
    given = said.to_data()
    wrong = ""
    for request in requests:
        asked = Decision.model_validate(_of(request) | _SAID).to_data()
        differ = [name for name in _of(request) if given[name] != asked[name]]
        if not differ:
            return request
        found = str(given[differ[0]])[:80]
        wrong = f"{differ[0]} is {found!a}, asked was {str(asked[differ[0]])!r}"
    raise _refused(said, wrong or "nobody asked for it", "APPROVAL_FOREIGN")


def _require_signature(said: Decision, signed: Signed, policy: Policy, verifier: Verifier) -> None:
    """Refuse an answer that no identity of the person it names has signed."""
    identities = [
        identity
        for person in policy.people
        if (person.name, person.role) == (said.who, said.role)
        for identity in person.identities
        if identity.scheme == signed.scheme
    ]
    if not any((one.name, one.role) == (said.who, said.role) for one in policy.people):
        raise _refused(said, f"{said.who} is not {said.role}", "APPROVAL_ROLE")
    reasons = [f"{said.who} has no identity for {signed.scheme} in the policy"]
    for identity in identities:
        try:
            verifier.verify(signed=signed, identity=identity)
        except VerificationError as error:
            reasons.append(str(error))
        else:
            return
    raise _refused(said, reasons[-1], "APPROVAL_SIGNATURE")


def _of(request: Request) -> Json:
    """Return what a decision repeats of its request."""
    names = ("release", "revision", "step", "nonce", "policy", "head", "expires", "waives")
    return {name: getattr(request, name) for name in names} | {"plan": request.digest}


_SAID = {
    "who": "",
    "role": "",
    "verdict": "reject",
    "reason": "",
    "at": datetime(1970, 1, 1, tzinfo=UTC),
}


def about(request: Request) -> list[Subject]:
    """Return what a decision is signed about, by name and digest: the plan, and its artifacts.

    No artifact's name has a space.
    """
    plan = Subject(f"plan of {request.step}", request.digest)
    listed = request.plan.get("subjects", [])
    files = listed if isinstance(listed, list) else []
    return [plan, *(Subject(str(one["name"]), str(one["sha256"])) for one in files)]


def _refused(said: Decision, why: str, code: str) -> GateError:
    return GateError(
        f"the answer of {plain(said.who)} ({plain(said.role)}) does not count: {plain(why, 500)}",
        code=code,
        remedy="Ask that person, by another way, and have it answered anew: relkit decide REQUEST.",
    )
