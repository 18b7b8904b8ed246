"""`relkit decide`: what a person on another machine sees, confirms, signs and sends."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relkit.cli_options import command, who
from relkit.errors import GateError, UsageError

if TYPE_CHECKING:
    from relkit.values import Request, Signed

DIGITS = 6
PRODUCTION = "This is no rehearsal, and the way back ends here. Type the name of the world:"
TRIES = 3


def declare(commands: Any) -> None:  # noqa: ANN401 (argparse gives its type no public name)
    """Add the command to those of the command line."""
    about = "answer the request of a gate"
    one = command(
        *(commands, "decide", decide, about),
        "relkit decide requests/63a56984….json --approve --role macos-expert \\",
        "  --who NAME --reason 'installed and tried' --key ~/.ssh/id_ed25519.pub",
    )
    one.add_argument("request", help="the request's file; with --meeting, how its name begins")
    one.add_argument(
        *("--meeting",),
        default="",
        metavar="ADDRESS",
        help="the git repository where requests lie; the answer is pushed there",
    )
    one.add_argument("--branch", default="main", help="its branch; main, if not given")
    one.add_argument("--role", required=True, help="yours, one of those the request asks")
    who(one)
    one.add_argument("--reason", required=True, help="why, for the record")
    verdict = one.add_mutually_exclusive_group(required=True)
    verdict.add_argument(
        "--approve", dest="verdict", action="store_const", const="approve", help="yes"
    )
    verdict.add_argument(
        "--reject", dest="verdict", action="store_const", const="reject", help="no"
    )
    how = one.add_mutually_exclusive_group()
    how.add_argument(
        "--key", type=Path, metavar="FILE", help="your SSH key; a public one: the agent signs"
    )
    how.add_argument("--gpg", metavar="FINGERPRINT", help="your GPG key's full primary fingerprint")
    how.add_argument(
        "--sigstore",
        nargs="?",
        const="",
        metavar="IDENTITY",
        help="sign as your Sigstore identity; you log in, unless the surroundings give a token",
    )
    folder: dict[str, Any] = {"type": Path, "metavar": "FOLDER"}
    keys = "where your GPG keys are; ~/.gnupg, if not given"
    one.add_argument("--gpg-home", default=Path("~/.gnupg"), help=keys, **folder)
    files = "a folder of files to hash; may be given again"
    one.add_argument("--files", action="append", default=[], help=files, **folder)
    one.add_argument("--yes", action="store_true", help="do not ask for the digits of the digest")
    one.add_argument(
        *("--production",), default="", metavar="NAME", help="the world's name, typed back"
    )


def decide(options: argparse.Namespace) -> int:
    """Answer a request: a file, or one in the meeting place, where the answer is pushed to."""
    if options.meeting:
        from relkit.adapters.meeting_place import fetched, send

        with fetched(options.meeting, options.branch, options.request) as (place, request):
            options.request = request
            send(place, _answered(options), options.who)
        print(f"{options.verdict} by {options.who} ({options.role}) is in the meeting place.")
        return 0
    options.request = Path(options.request)
    path = _answered(options)
    print(f"{options.verdict} by {options.who} ({options.role}) is on its way.")
    if commands := to_push(path):
        print("It counts once it is pushed:", *commands, sep="\n  ")
    return 0


def to_push(answer: Path) -> list[str]:
    """Return the commands that send an answer from a clone of the meeting place; none elsewhere."""
    folder = answer.absolute().parent
    if not (folder.parent / ".git").exists():
        return []
    git = f"git -C {shlex.quote(str(folder))}"
    return [
        f"{git} add -- {answer.name}",
        f"{git} commit -m 'Answer {answer.name[:12]}' -- {answer.name}",
        f"{git} pull --rebase",
        f"{git} push",
    ]


def _answered(options: argparse.Namespace) -> Path:
    """Show a request, have it confirmed, sign the answer, put it beside; return its file."""
    from relkit import asked
    from relkit.adapters.meeting import add_answer, read_request, said_before
    from relkit.decision import decision_text

    request = read_request(options.request)
    _require_askable(request, options)
    print(asked.readable(request), asked.difference(request, options.request.parent), sep="\n\n")
    place = options.request.with_name(f"{request.key}.json")  # it may have been renamed on its way
    looked = asked.look(request, [one.expanduser() for one in options.files])
    said = f"{options.verdict.upper()} by {options.who} ({options.role}): {options.reason.strip()}"
    shown = f"{asked.told(looked)}\n\nWhat you sign: {said}\n{asked.signing(request).text}\n"
    print("", asked.printable(f"{asked.signed(request, looked).text}\n\n{shown}"), sep="\n")
    if options.verdict == "approve":
        asked.require_equal(looked)
    if sys.stdin.isatty() and not options.yes:
        confirm(request.digest, options.verdict)
    asking = options.verdict == "approve" and request.typed and not options.production
    typed = _typed() if asking and sys.stdin.isatty() else options.production
    before = [one.at for one in said_before(place, options.who, options.role)]
    text = decision_text(
        request,
        who=options.who,
        role=options.role,
        verdict=options.verdict,
        reason=options.reason,
        at=answer_time(before),
        typed=typed,
    )
    return add_answer(place, _signed(text, request, options))


def answer_time(before: list[datetime], now: datetime | None = None) -> datetime:
    """Return the time of an answer: now, and after what the same person said just before.

    What claims to be said later than in a minute is not looked at: anybody may have put it there.
    """
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    near = [one for one in before if one <= now + timedelta(minutes=1)]
    return max([now, *(one + timedelta(seconds=1) for one in near)])


def confirm(digest: str, verdict: str, ask: Callable[[str], str] = input) -> None:
    """Have the last digits of the plan's digest typed in; they are shown in the notebook, too.

    Raises `GateError` (``GATE_LOCKED``) after three wrong tries.
    """
    words = f"To {verdict}, type the last {DIGITS} digits of the plan's digest: "
    for _ in range(TRIES):
        try:
            given = ask(words)
        except EOFError:
            break
        if given.strip().lower() == digest[-DIGITS:]:
            return
    raise GateError(
        f"the last {DIGITS} digits were not given in {TRIES} tries, they are those of {digest}",
        code="GATE_LOCKED",
        remedy="Nothing was signed. Read the request again, compare the digest with the notebook.",
    )


def _typed() -> str:
    """Ask for the name of the world; whoever ends the input has typed nothing."""
    try:
        return input(f"{PRODUCTION} ")
    except EOFError:
        return ""


def _require_askable(request: Request, options: argparse.Namespace) -> None:
    """Refuse what the release manager's run would refuse anyhow, before anything is signed."""
    refused = ""
    if options.role not in request.roles:
        refused = f"NOT_ASKED {request.step} asks {', '.join(request.roles)}, not {options.role}"
    if not options.reason.strip():
        refused = "REASON_MISSING a decision needs a reason"
    if request.expires < datetime.now(UTC):
        refused = f"APPROVAL_EXPIRED answers were taken until {request.expires:%Y-%m-%d %H:%M} UTC"
    if refused:
        code, _, why = refused.partition(" ")
        raise GateError(why, code=code, remedy="Look at the request, and ask the release manager.")


def _signed(text: str, request: Request, options: argparse.Namespace) -> Signed:
    """Return the signed answer; whatever signs it verifies what it made."""
    from relkit.adapters import attest

    if options.gpg:
        return attest.sign_with_own_gpg(text, options.gpg_home.expanduser(), options.gpg)
    if options.sigstore is not None:
        return _by_sigstore(text, request, options)
    if options.key is None:
        return attest.sign_with_ssh(text, _rehearsal_key(options))
    return attest.sign_with_ssh(text, options.key.expanduser())


def _rehearsal_key(options: argparse.Namespace) -> Path:
    """Return the throw-away key of a person in the rehearsal that the request belongs to."""
    from relkit.rehearsal.making import key_of

    key = key_of(options.request.absolute().parent.parent, options.who)
    if not key.is_file():
        raise UsageError(
            f"there is no key of {options.who} beside the request, as a rehearsal has it",
            code="KEY_MISSING",
            remedy="Look at the name. Elsewhere say how you sign: --key FILE, --gpg FINGERPRINT "
            "or --sigstore.",
        )
    return key


def _by_sigstore(text: str, request: Request, options: argparse.Namespace) -> Signed:
    """Sign as a Sigstore identity: of the rehearsal's own instance, or of the public one."""
    from relkit.adapters import attest
    from relkit.rehearsal.signing import loopback

    if not request.rehearsal:
        return attest.sign_with_public_sigstore(text)
    with loopback(options.request.absolute().parent.parent, options.sigstore) as signer:
        return attest.sign_with_sigstore(text, signer)
