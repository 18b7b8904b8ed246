"""Where a world's secrets come from, and where they never show."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Iterator

import keyring
import pytest
from hostile import STRINGS
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, NoKeyringError, PasswordDeleteError

from relkit.adapters.rest import Rest
from relkit.adapters.secrets import CLEAR, NAMES, SERVICE, VARIABLE, Secrets, variable
from relkit.adapters.web import Web
from relkit.errors import WorldError

CANARY = "s3cr3t-canary-value"


class Kept(KeyringBackend):
    """A keyring of the keyring package's own kind, in memory; `error` is raised instead."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped there
        self.kept: dict[tuple[str, str], str] = {}
        self.error: Exception | None = None
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        try:
            del self.kept[service, username]
        except KeyError as error:
            raise PasswordDeleteError(username) from error


@pytest.fixture(autouse=True)
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    for name in NAMES:
        monkeypatch.delenv(variable("cpython", name), raising=False)
    before, made = keyring.get_keyring(), Kept()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def never(prompt: str) -> str:
    raise AssertionError(f"nobody is to be asked: {prompt}")


def test_the_environment_goes_before_the_keyring_and_the_keyring_before_the_prompt(
    ring: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.set_password(f"{SERVICE}:cpython", "site-token", "kept")
    assert Secrets("cpython", never).get("site-token") == "kept"
    monkeypatch.setenv("RELKIT_SECRET_CPYTHON_SITE_TOKEN", "given")
    assert Secrets("cpython", never).get("site-token") == "given"
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return " typed \n"

    assert Secrets("cpython", ask).get("site-key") == "typed"
    assert prompts == ["site-key for the world cpython: "]


def test_the_secrets_of_one_world_are_not_those_of_another(
    ring: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.set_password(f"{SERVICE}:rehearsal", "site-token", "kept")
    monkeypatch.setenv(variable("rehearsal", "site-token"), "kept")
    monkeypatch.setenv(variable("cpython-rehearsal", "site-token"), "kept")
    with pytest.raises(WorldError, match="SECRET_MISSING"):
        Secrets("cpython", lambda _: "").get("site-token")


def test_a_variable_that_names_no_world_is_not_taken_and_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELKIT_SECRET_SITE_TOKEN", CANARY)
    with pytest.raises(WorldError, match="RELKIT_SECRET_SITE_TOKEN is set, which") as refusal:
        Secrets("cpython", lambda _: "").get("site-token")
    assert refusal.value.code == "SECRET_MISSING"
    assert "RELKIT_SECRET_CPYTHON_SITE_TOKEN" in refusal.value.remedy
    assert CANARY not in str(refusal.value)


UNCLEAR = ["CPython", "cpython_3", "cpython.3", "cpython--3", "-cpython", "cpython-"]


@pytest.mark.parametrize("world", UNCLEAR)
def test_a_variable_that_may_be_of_two_worlds_is_refused(
    world: str, ring: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(world, "site-token"), CANARY)
    secrets = Secrets(world, never)
    with pytest.raises(WorldError, match=variable(world, "site-token")) as refusal:
        secrets.get("site-token")
    assert refusal.value.code == "SECRET_AMBIGUOUS"
    assert CANARY not in f"{refusal.value} {refusal.value.remedy}"
    assert CANARY in secrets.all(), "it is looked for, wherever it must not be"
    monkeypatch.delenv(variable(world, "site-token"))
    ring.set_password(f"{SERVICE}:{world}", "site-token", "kept")
    assert secrets.get("site-token") == "kept"


def test_no_two_secrets_of_clear_worlds_have_one_variable() -> None:
    """None of the names ends in another one, so that a variable is parted in one way."""
    assert all(CLEAR.fullmatch(one) for one in ("cpython", "rehearsal", "practice", "cpython-3-15"))
    assert not any(one != two and one.endswith(f"-{two}") for one in NAMES for two in NAMES)
    assert not any(CLEAR.fullmatch(one) for one in UNCLEAR)


@pytest.mark.parametrize("error", [NoKeyringError("none"), KeyringLocked("locked")])
def test_without_a_keyring_or_with_a_locked_one_it_is_asked_for(
    error: Exception, ring: Kept
) -> None:
    ring.error = error
    assert Secrets("cpython", lambda _: "typed").get("cdn-key") == "typed"
    with pytest.raises(WorldError, match="SECRET_MISSING") as refusal:
        Secrets("cpython", lambda _: "").get("cdn-key")
    assert "keyring set relkit:cpython cdn-key" in refusal.value.remedy
    assert "RELKIT_SECRET_CPYTHON_CDN_KEY" in refusal.value.remedy


def test_a_secret_is_looked_for_when_it_is_needed_and_once(ring: Kept) -> None:
    ring.set_password(f"{SERVICE}:cpython", "site-token", "kept")
    secrets = Secrets("cpython", never)
    getter = secrets.getter("site-token")
    assert ring.asked == 0
    assert (getter(), getter()) == ("kept", "kept")
    assert ring.asked == 1


def test_i40_what_was_refused_is_forgotten_and_asked_for_again(ring: Kept) -> None:
    answers = ["wrong", "right"]
    secrets = Secrets("cpython", lambda _: answers.pop(0))
    assert secrets.get("site-token") == "wrong"
    secrets.forget("site-token")
    assert secrets.get("site-token") == "right"
    assert ring.kept == {}


@pytest.mark.parametrize("where", ["environment", "keyring", "prompt"])
def test_i40_the_same_wrong_secret_is_not_taken_twice(
    where: str, ring: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "environment":
        monkeypatch.setenv(variable("cpython", "site-token"), CANARY)
    elif where == "keyring":
        ring.set_password(f"{SERVICE}:cpython", "site-token", CANARY)
    secrets = Secrets("cpython", lambda _: CANARY if where == "prompt" else "")
    assert secrets.get("site-token") == CANARY
    secrets.forget("site-token")
    with pytest.raises(WorldError, match="only one that was refused") as refusal:
        secrets.get("site-token")
    assert CANARY not in "".join(traceback.format_exception(refusal.value))
    assert CANARY not in refusal.value.remedy


def test_of_one_that_was_never_given_it_is_not_said_that_it_was_refused() -> None:
    secrets = Secrets("cpython", lambda prompt: "wrong" if "token" in prompt else "")
    secrets.get("site-token")
    secrets.forget("site-token")
    with pytest.raises(WorldError, match=r"no site-key for the world cpython$"):
        secrets.get("site-key")


def test_what_is_held_is_asked_of_a_person_once() -> None:
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return ""

    secrets = Secrets("cpython", ask)
    secrets.hold()
    for _ in range(3):
        with pytest.raises(WorldError, match="SECRET_MISSING"):
            secrets.get("cdn-key")
    assert len(prompts) == 1


def test_whoever_ends_the_input_has_given_nothing() -> None:
    def ended(_: str) -> str:
        raise EOFError

    with pytest.raises(WorldError, match="SECRET_MISSING"):
        Secrets("cpython", ended).get("site-key")


def test_i40_a_wrong_secret_in_the_keyring_gives_way_to_one_that_is_typed(ring: Kept) -> None:
    ring.set_password(f"{SERVICE}:cpython", "site-token", "wrong")
    secrets = Secrets("cpython", lambda _: "right")
    assert secrets.get("site-token") == "wrong"
    secrets.forget("site-token")
    assert secrets.get("site-token") == "right"


def test_i40_a_service_that_refuses_a_secret_has_it_forgotten(ring: Kept) -> None:
    answers = ["wrong", "right"]
    secrets = Secrets("cpython", lambda _: answers.pop(0))
    rest = Rest(
        "GitHub",
        Web("http://127.0.0.1:9/", (0.1, 0.1)),
        headers=lambda: {"Authorization": secrets.get("github-token")},
        denied=lambda: secrets.forget("github-token"),
    )
    with pytest.raises(WorldError, match="SERVICE_UNREACHABLE"):
        rest.get("x")
    assert answers == ["right"], "no answer is no refusal"
    rest._denied()
    assert secrets.get("github-token") == "right"
    assert ring.kept == {}


def test_i39_a_secret_shows_in_no_words_about_what_holds_it() -> None:
    secrets = Secrets("cpython", lambda _: CANARY)
    secrets.get("site-key")
    secrets.forget("site-key")
    for shown in (repr(secrets), str(secrets), f"{secrets}", repr(secrets.getter("site-key"))):
        assert CANARY not in shown
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secrets are neither copied nor kept"):
            copied(secrets)


def test_all_that_is_known_is_told_with_the_parts_that_are_secret(
    ring: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.set_password(f"{SERVICE}:cpython", "site-key", "rika:half")
    monkeypatch.setenv(variable("cpython", "cdn-key"), "fast")
    secrets = Secrets("cpython", never)
    assert secrets.all() == ("fast", "half", "rika:half")
    secrets.get("cdn-key")
    secrets.forget("cdn-key")
    monkeypatch.delenv(variable("cpython", "cdn-key"))
    assert "fast" in secrets.all()


@pytest.mark.parametrize("name", STRINGS)
def test_no_other_name_is_looked_for_anywhere(name: str, ring: Kept) -> None:
    with pytest.raises(WorldError, match="SECRET_UNKNOWN"):
        Secrets("cpython", never).get(name)
    assert ring.asked == 0


def test_every_secret_has_its_variable() -> None:
    assert len({variable("cpython", name) for name in NAMES}) == len(NAMES)
    assert all(variable("cpython", name).removeprefix(VARIABLE).isupper() for name in NAMES)
    assert variable("cpython", "github-token") == "RELKIT_SECRET_CPYTHON_GITHUB_TOKEN"


def test_a_secret_with_a_line_in_it_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("a\nb", "a\r\nX: y", "ä", "a b", "\x7f"):
        monkeypatch.setenv(variable("cpython", "site-token"), wrong)
        with pytest.raises(WorldError, match="SECRET_UNFIT") as refusal:
            Secrets("cpython", never).get("site-token")
        assert wrong not in str(refusal.value)
