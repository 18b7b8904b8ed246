"""Hostile world files, answers and addresses: refused with a code, and never believed."""

from __future__ import annotations

import traceback
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hostile
import pytest
import rehearsals

import relkit.steps  # noqa: F401 (declares the steps)
from relkit.adapters.elsewhere import download
from relkit.adapters.rest import Rest, UnknownStateError
from relkit.adapters.secrets import Secrets
from relkit.adapters.web import Web
from relkit.adapters.website import PythonOrg
from relkit.errors import GateError, ReleaseError, UsageError, WorldError
from relkit.held import Held
from relkit.kinds import Kind
from relkit.places import Gpg, Services, Ssh
from relkit.real.parts import policy_of
from relkit.real.pins import pins
from relkit.real.systems import Systems
from relkit.release import Release
from relkit.step import Step, steps_of
from relkit.values import Identity
from relkit.verify_release.pages import _offered
from relkit.verify_release.report import Look
from relkit.worlds import WorldFile, host_of, read_world_file

ROOT = Path(__file__).parents[1]
RELEASE = Release.parse("3.15.0a2", "alpha", "2026-11-24")
REHEARSAL = (ROOT / rehearsals.WORLD).read_text(encoding="utf-8")
CLOSED = "http://127.0.0.1:9/"
"""Nothing listens there."""


def world(tmp_path: Path, more: str = "") -> WorldFile:
    path = tmp_path / "w.toml"
    path.write_text(f"{REHEARSAL}\n{more}", encoding="utf-8")
    return read_world_file(path)[0]


def systems(tmp_path: Path, **parts: Ssh | Gpg) -> Systems:
    file = world(tmp_path).model_copy(update={"services": Services.model_validate(parts)})
    return Systems(file, tmp_path, tmp_path, RELEASE, Secrets("distrust", ask=lambda _: ""))


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "github.com:python/cpython.git",
        "Git@github.com:python/cpython.git",
        "me.too@github.com:python/cpython.git",
        "ext::sh -c true",
    ],
)
def test_an_address_that_is_no_path_is_never_taken_for_one_on_this_machine(
    tmp_path: Path, address: str
) -> None:
    assert host_of(address) not in {"localhost", "127.0.0.1", "::1"}
    with pytest.raises(UsageError) as refusal:
        world(tmp_path, f'[services.git]\nupstream = "{address}"\nfork = "/x"\n')
    assert refusal.value.code == "WORLD_MIXED"


@pytest.mark.parametrize("address", ["https://[bad/x", "ssh://git@[::1/x", "ssh://127.0.0.1:x/y"])
def test_an_address_that_cannot_be_parted_is_refused_with_a_code(
    tmp_path: Path, address: str
) -> None:
    with pytest.raises(UsageError):
        pins(world(tmp_path, f'[services.git]\nupstream = "{address}"\nfork = "/x"\n').services)


def test_a_port_that_none_can_be_is_refused_with_a_code(tmp_path: Path) -> None:
    words = '[services.git]\nupstream = "ssh://git@localhost:99999/x"\nfork = "/x"\n'
    with pytest.raises(UsageError):
        pins(world(tmp_path, words).services)


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_a_hostile_address_in_a_worlds_file_is_refused_or_is_a_path(text: str) -> None:
    for address in (text, f"ssh://git@localhost:{text}/x", f"https://{text}/", f"git@{text}:x"):
        with suppress(UsageError):
            assert host_of(address) is not None


@pytest.mark.parametrize("home", ["~nobody-has-this-name/x", "~\udcff/x", "/a\0b"])
def test_a_folder_of_nobody_is_refused_with_a_code(tmp_path: Path, home: str) -> None:
    with pytest.raises(ReleaseError):
        _ = systems(tmp_path, ssh=Ssh(identity_file=home)).pinned
    with pytest.raises(ReleaseError):
        _ = systems(tmp_path, gpg=Gpg(fingerprint="A" * 40, home=home)).gpg


# --- people ---------------------------------------------------------------------------------------


def stated(file: WorldFile, identity: Identity) -> object:
    return policy_of(
        file, lambda *_: (identity,), issuer="https://x.org", fingerprint="", builders={}
    )


@pytest.mark.parametrize(
    "identity",
    [
        Identity(scheme="ssh", key=""),
        Identity(scheme="gpg", key="A" * 39),
        Identity(scheme="gpg", key="A" * 40),  # of everybody: who signed could not be told
        Identity(scheme="sigstore", key=".*@python.org", issuer="https://x.org"),
    ],
)
def test_identities_that_cannot_be_told_apart_are_refused_with_a_code(
    tmp_path: Path, identity: Identity
) -> None:
    with pytest.raises(GateError) as refusal:
        stated(world(tmp_path), identity)
    assert refusal.value.code == "POLICY_INVALID"


def test_before_every_irreversible_step_the_worlds_name_is_typed_at_a_gate() -> None:
    """Also where steps without a gate lie between (the branch of an end of life, which goes)."""
    for kind in Kind:
        known = {one.name: one for one in steps_of(kind)}
        history: Any = SimpleNamespace(
            steps=known, inputs=SimpleNamespace(rehearsal=False, world="cpython")
        )
        typed = {name for name, one in known.items() if one.gate and Held.typed(history, name)}
        for step in known.values():
            assert not step.irreversible or before(step) & typed, (kind, step.name)


def before(step: Step[Any]) -> set[str]:
    return {step.name}.union(*map(before, step.after))


# --- secrets --------------------------------------------------------------------------------------


def test_a_write_without_a_secret_was_not_sent_and_says_what_is_missing() -> None:
    secrets = Secrets("distrust", ask=lambda _: "")
    rest = Rest("It", Web(CLOSED), headers=lambda: {"X": secrets.get("github-token")})
    with pytest.raises(WorldError) as refusal:
        rest.write("POST", "x", {})
    assert not isinstance(refusal.value, UnknownStateError)
    assert refusal.value.code == "SECRET_MISSING"


def test_the_address_that_lets_anybody_in_is_in_no_traceback(tmp_path: Path) -> None:
    address = f"{CLOSED}a?sig={'canary'.upper()}"
    with pytest.raises(WorldError) as refusal:
        download(address, tmp_path / "a", Rest("Azure", Web(CLOSED)))
    assert refusal.value.code == "SERVICE_UNREACHABLE"
    assert "CANARY" not in "".join(traceback.format_exception(refusal.value))


# --- where a button leads -------------------------------------------------------------------------

ELSEWHERE = "https://elsewhere.invalid/downloads/release/python-3150a2/"


@pytest.mark.parametrize(
    ("location", "good"),
    [
        ("/downloads/release/python-3150a2/", True),
        ("http://127.0.0.1:9/downloads/release/python-3150a2/", True),
        (ELSEWHERE, False),
        ("//elsewhere.invalid/downloads/release/python-3150a2/", False),
        ("https://[", False),
    ],
)
def test_a_button_that_leads_to_another_site_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, location: str, *, good: bool
) -> None:
    site = PythonOrg(CLOSED, v2_token=str, v1_key=str)
    answer = SimpleNamespace(headers={"Location": location}, status_code=302, url="x")
    monkeypatch.setattr(site._web, "request", lambda *_, **__: nullcontext(answer))
    if good:
        assert site.latest(series="python3") == "python-3150a2"
        return
    with pytest.raises(WorldError) as refusal:
        site.latest(series="python3")
    assert refusal.value.code == "SITE_UNREADABLE"


@pytest.mark.parametrize("name", ["python3", "prerelease"])
def test_verification_of_a_release_sees_a_button_that_leads_to_another_site(name: str) -> None:
    got = SimpleNamespace(status=302, location=ELSEWHERE)
    site = SimpleNamespace(url=CLOSED, fetch=lambda _: got)
    look = Look("latest", "")
    case: Any = SimpleNamespace(release=RELEASE, site=site)
    assert _offered(case, look, name) == ""
    assert [one.code for one in look.changes] == ["LATEST_WRONG"]
