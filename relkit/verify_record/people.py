"""What people said: every decision and waiver again, with its signature, and where it stood."""

from __future__ import annotations

from relkit import records as log
from relkit import sealing
from relkit.adapters.ssh import allowed_signer
from relkit.building.statement import read_statement
from relkit.deciding import HAND_OVER
from relkit.decision import DECISION, NAMESPACE, Decision, check_decision, read_decision
from relkit.errors import GateError, WorldError
from relkit.held import name_back
from relkit.policy import MANAGER
from relkit.records import Record
from relkit.values import Json, Request, Signed, digest_of
from relkit.verify_record.case import Case
from relkit.verify_record.verdict import cannot, refuse
from relkit.verify_record.walk import Walk

Said = log.Decided | log.Waived | log.HandedOver
HOUR = 3600


def decisions(case: Case) -> str:
    """Verify everything that is signed in the ledger, and what gates were opened by."""
    walk = case.walk
    case.require_no_faults("decisions")
    said = [one for one in walk.ledger if isinstance(one.entry, Said)]
    seen: set[Signed] = set()
    for record in said:
        entry = record.entry
        assert isinstance(entry, Said)  # noqa: S101 (for the type checker)
        if entry.signed in seen:
            raise refuse("APPROVAL_REPLAYED", f"record {record.number} repeats an earlier answer")
        seen.add(entry.signed)
        _require_said(case, record, entry)
    _require_files(case)
    if case.trust.wanting:
        raise cannot(next(iter(case.trust.wanting)), "some answers were signed by means not given")
    case.require_policy()
    people = sorted({f"{one.entry.who} ({one.entry.role})" for one in said})  # type: ignore[union-attr]
    return f"{len(said)} signed by {', '.join(people) or 'nobody'}; no gate was opened without them"


def _require_said(case: Case, record: Record, entry: Said) -> None:
    """Verify one answer: what it says, who signed it, what it answers."""
    where = f"record {record.number}: "
    try:
        requests = _requests(case.walk, record, entry)
        made = check_decision(
            entry.signed,
            requests=requests,
            policy=case.walk.policy,
            verifier=case.trust,
            now=record.at,
        )
    except GateError as error:
        raise refuse(error.code, where + str(error)) from error
    except WorldError as error:
        raise cannot(error.code, where + str(error)) from error
    _require_same(made, entry, where)
    _require_newest(case.walk, record, made, where)


def _require_same(made: Decision, entry: Said, where: str) -> None:
    """Refuse a record that says something else than what was signed."""
    mine: dict[str, object] = {"who": made.who, "role": made.role, "reason": made.reason}
    match entry:
        case log.Decided():
            mine |= {"verdict": made.verdict, "made": made.at, "digest": made.plan}
            mine |= {"step": made.step}
        case log.Waived():
            mine |= {"check": made.waives, "made": made.at, "digest": made.plan}
            mine |= {"step": made.step}
            if made.verdict != "approve":
                raise refuse("APPROVAL_VERDICT", f"{where}a rejection was recorded as a waiver")
        case log.HandedOver(to=to):
            if made.verdict != "approve" or made.plan != digest_of({"to": to}):
                raise refuse("APPROVAL_FOREIGN", f"{where}it hands the run to somebody else")
    for name, value in mine.items():
        if (said := getattr(entry, name)) != value:
            why = f"{where}{name} is {said}, signed was {value}"
            raise refuse("APPROVAL_FOREIGN", why)


def _requests(walk: Walk, record: Record, entry: Said) -> list[Request]:
    """Return what the answer may answer: what was asked before it, or what was asked just then.

    Who decides at the notebook is asked there; the request then names the newest record.
    """
    said = read_decision(entry.signed.text)
    if isinstance(entry, log.HandedOver):
        return [_request(walk, record, said, {"to": entry.to}, (MANAGER,))]
    gate = walk.step(entry.step).gate or ""
    waives = entry.check if isinstance(entry, log.Waived) else ""
    roles = walk.policy.waivers if waives else walk.policy.roles(gate, walk.release.kind)
    plan = walk.plans.get((entry.step, entry.digest)) or _subjects(entry.signed)
    asked = [
        (one.entry.head, one.entry.expires)
        for one in walk.ledger.records[: record.number]
        if isinstance(one.entry, log.Asked)
        and (one.entry.step, one.entry.digest, one.entry.waives)
        == (entry.step, entry.digest, waives)
    ]
    request = _request(walk, record, said, plan, roles, entry.digest)
    if (said.head, said.expires) in asked:
        return [request]
    if entry.via != "notebook" or entry.role not in walk.policy.present:
        return [request.model_copy(update={"head": head, "expires": at}) for head, at in asked]
    return [request.model_copy(update={"head": record.previous})]


def _request(
    walk: Walk,
    record: Record,
    said: Decision,
    plan: Json,
    roles: tuple[str, ...],
    digest: str = "",
) -> Request:
    """Return the request that was put by this policy; an answer may not last longer than it."""
    longest = walk.policy.request_hours * HOUR
    if (said.expires - record.at).total_seconds() > longest:
        raise refuse("APPROVAL_EXPIRED", f"record {record.number}: it lasts longer than allowed")
    return Request(
        release=walk.release.name,
        revision=record.revision,
        step=said.step if not digest else getattr(record.entry, "step", ""),
        nonce=walk.inputs.nonce,
        plan=plan,
        digest=digest or digest_of(plan),
        roles=roles,
        policy=walk.inputs.policy_digest,
        head=said.head if digest else record.previous,
        expires=said.expires,
        waives=getattr(record.entry, "check", ""),
        typed=name_back(walk, said.step) if isinstance(record.entry, log.Decided) else "",
    ).model_copy(update={} if digest else {"step": HAND_OVER})


def _subjects(signed: Signed) -> Json:
    """Return the files an answer names, of a plan that was never begun and counts for nothing."""
    named = read_statement(signed.text, predicate_type=DECISION).subjects
    files = [one for one in named if " " not in one.name]
    return {"subjects": [{"name": one.name, "sha256": one.sha256} for one in files]}


def _require_newest(walk: Walk, record: Record, made: Decision, where: str) -> None:
    """Refuse an answer that is older than what the same person had said of the same plan.

    Of two words of one second the rejection is the later one (`relkit.asking`).
    """
    for one in walk.ledger.records[: record.number]:
        entry = one.entry
        if (
            isinstance(entry, log.Decided)
            and isinstance(record.entry, log.Decided)
            and (entry.who, entry.role, entry.digest) == (made.who, made.role, made.plan)
            and (entry.made, entry.verdict == "reject") > (made.at, made.verdict == "reject")
        ):
            raise refuse("APPROVAL_REPLAYED", f"{where}record {one.number} was made later")


def _require_files(case: Case) -> None:
    """Compare the extracted statements, and the keys beside them, with ledger and policy."""
    walk, found = case.walk, case.pack.files
    folder = f"{sealing.DECISIONS}/"
    wanted = {path: data for path, data in sealing.from_ledger(walk).items() if folder in path}
    if added := sorted(path for path in found if path.startswith(folder) and path not in wanted):
        raise refuse("APPROVAL_FILE", f"{added[0]} is of no record of the ledger")
    for path, data in wanted.items():
        if found.get(path) != data:
            raise refuse("APPROVAL_FILE", f"{path} is not what the ledger has")
    called = sealing.principals(walk.policy)
    lines = {
        allowed_signer(called[person.name], one.key, NAMESPACE): None
        for person in walk.policy.people
        for one in person.identities
        if one.scheme == "ssh"
    }
    if case.bytes(sealing.SIGNERS) != "".join(lines).encode():
        raise refuse("APPROVAL_FILE", f"{sealing.SIGNERS} has other keys than the policy")


def waivers(case: Case) -> str:
    """Ask whether what failed in a recorded plan was waived by enough people; name it all."""
    walk = case.walk
    case.require_no_faults("waivers")
    case.waivers += [
        f"{step}: {one.check}: by {one.who} ({one.role}): {one.reason}" for step, one in walk.waived
    ]
    for step, one in walk.waived:
        if one.role not in walk.policy.waivers:
            raise refuse(
                "WAIVER_ROLE", f"{one.who} ({one.role}) may not waive {one.check} of {step}"
            )
    case.require_policy()
    return f"{len(walk.waived)} waivers" if walk.waived else "nothing was waived"
