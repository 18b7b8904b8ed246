"""Production: opened only by name and complete, out of reach of tests, confirmed by its name."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import rehearsals
import toy
from real_world import real_world
from test_cli_decide import WHO, Main, answers, key, main, place, request  # noqa: F401 (fixtures)
from test_run import EXPERT, RM, refused, upto

import relkit.step
from relkit import cli_doctor, doctor, view
from relkit.adapters.meeting import Meeting
from relkit.adapters.secrets import Secrets
from relkit.adapters.sigstore_instance import Instance
from relkit.adapters.ssh import public_key
from relkit.errors import GateError, UsageError
from relkit.places import Announcements, Gpg, People, Services, Sigstore
from relkit.ports import World
from relkit.real.production import BARRED, PARTS, lacking, open_production, require_complete
from relkit.real.systems import Systems
from relkit.real.world import production_world
from relkit.rehearsal.making import key_of, names_of
from relkit.release import Release
from relkit.run import Run
from relkit.values import Identity
from relkit.worlds import WorldFile, hosts, read_world_file

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "worlds" / "cpython.toml"
RELEASE = Release.parse("3.15.0a2", "alpha", "2026-11-24")


@pytest.fixture
def unbarred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let production be opened, by tests that cannot get further than the refusal they are of."""
    monkeypatch.delenv(BARRED)


def filled(file: WorldFile) -> WorldFile:
    """Return the shipped file with everything personal filled in, with what nobody has."""
    words = SHIPPED.read_text(encoding="utf-8")
    pinned = "ssh-ed25519 " + "A" * 68
    people = {
        role: one.model_copy(
            update={"identities": {one.name: (Identity(scheme="ssh", key=f"{pinned[:-2]}{n:02}"),)}}
        )
        for n, (role, one) in enumerate(file.people.items())
        if one.identities or role == "release-manager"
    }
    assert words.count("identities]") == 5
    parts = file.services
    assert parts.git is not None
    assert parts.azure is not None
    assert parts.downloads is not None
    assert parts.docs is not None
    assert parts.people is not None
    reached = {"user": "me", "host_keys": (pinned,)}
    return file.model_copy(
        update={
            "people": {**file.people, **people},
            "services": parts.model_copy(
                update={
                    "git": parts.git.model_copy(update={"fork": "ssh://git@github.com/me/c.git"}),
                    "azure": parts.azure.model_copy(update={"builds": {"windows": ("w",)}}),
                    "downloads": parts.downloads.model_copy(update=reached),
                    "docs": parts.docs.model_copy(update=reached),
                    "people": parts.people.model_copy(update={"meeting": "ssh://git@x.org/m.git"}),
                    "gpg": Gpg(fingerprint="A" * 40),
                }
            ),
        }
    )


# --- the file -------------------------------------------------------------------------------------


def test_the_shipped_file_describes_a_production_and_says_nothing_secret() -> None:
    file, _ = read_world_file(SHIPPED)
    assert not file.rehearsal
    assert all(host not in {"127.0.0.1", "localhost"} for _, host in hosts(file.services) if host)
    words = SHIPPED.read_text(encoding="utf-8").lower()
    assert not re.search(r"(token|password|secret|api[_-]?key)\s*=", words)


@pytest.mark.usefixtures("unbarred")
def test_what_the_file_leaves_out_is_named_all_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    file, digest = read_world_file(SHIPPED)
    with pytest.raises(UsageError) as refusal:
        open_production(file, digest, tmp_path / "records" / RELEASE.key, RELEASE)
    assert refusal.value.code == "WORLD_INCOMPLETE"
    for name in ("services.git.fork", "services.gpg", "host_keys", "identities of Ned Deily"):
        assert name in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("unbarred")
def test_a_file_with_everything_filled_in_is_complete() -> None:
    file = filled(read_world_file(SHIPPED)[0])
    assert list(lacking(file, RELEASE)) == []
    require_complete(file, RELEASE)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_missed_if_it_is_not_there(part: str) -> None:
    file = filled(read_world_file(SHIPPED)[0])
    services = file.services.model_copy(update={part: None})
    assert f"services.{part}" in lacking(file.model_copy(update={"services": services}), RELEASE)


def test_a_person_who_decides_and_has_no_identity_is_missed() -> None:
    file = filled(read_world_file(SHIPPED)[0])
    role = file.people["windows-expert"].model_copy(update={"also": ("Somebody Else",)})
    people = {**file.people, "windows-expert": role}
    found = list(lacking(file.model_copy(update={"people": people}), RELEASE))
    assert found == ["people.windows-expert.identities of Somebody Else"]


def written(tmp_path: Path, words: str) -> Path:
    path = tmp_path / "w.toml"
    path.write_text(words, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "more",
    [
        '[services.website]\nurl = "https://www.python.org/"\n',
        '[services.cdn]\nurl = "http://127.0.0.1:1/"\n',  # and its interface is Fastly's
        '[services.github]\nrepository = "python/cpython"\n',
        '[services.git]\nupstream = "ssh://git@github.com/python/cpython.git"\nfork = "/x"\n',
        '[services.git]\nupstream = "git@github.com:python/cpython.git"\nfork = "/x"\n',
        '[services.downloads]\nhost = "downloads.example"\npublic = "/p"\nstaging = "/s"\n',
        '[services.people]\nmeeting = "https://example.org/meeting.git"\n',
    ],
)
def test_a_rehearsal_that_names_a_place_elsewhere_is_refused_i51(tmp_path: Path, more: str) -> None:
    words = (ROOT / rehearsals.WORLD).read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="is not on this machine") as refusal:
        read_world_file(written(tmp_path, f"{words}\n{more}"))
    assert refusal.value.code == "WORLD_MIXED"


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("https://www.python.org/", "http://127.0.0.1:8000/"),
        ("ssh://git@github.com/python/cpython.git", "/srv/upstream.git"),
        ('host = "downloads.nyc1.psf.io"', 'host = "localhost"'),
    ],
)
def test_a_production_that_names_this_machine_is_refused(
    tmp_path: Path, name: str, here: str
) -> None:
    words = SHIPPED.read_text(encoding="utf-8")
    assert name in words
    with pytest.raises(UsageError, match="is on this machine") as refusal:
        read_world_file(written(tmp_path, words.replace(name, here)))
    assert refusal.value.code == "WORLD_MIXED"


def test_nobody_is_played_in_production(tmp_path: Path) -> None:
    words = SHIPPED.read_text(encoding="utf-8")
    played = words.replace("[people.macos-expert]\n", "[people.macos-expert]\nplayed = true\n")
    with pytest.raises(UsageError, match="macos-expert") as refusal:
        read_world_file(written(tmp_path, played))
    assert refusal.value.code == "WORLD_MIXED"


# --- out of reach ---------------------------------------------------------------------------------


def test_no_test_and_nothing_a_test_starts_can_open_production_i51(tmp_path: Path) -> None:
    assert os.environ[BARRED]
    with pytest.raises(UsageError) as refusal:
        require_complete(filled(read_world_file(SHIPPED)[0]), RELEASE)
    assert refusal.value.code == "PRODUCTION_BARRED"
    records = tmp_path / "records"
    for command in ("run", "doctor"):
        done = rehearsals.relkit(command, "3.15.0a2", "--world", SHIPPED, "--records", records)
        assert (done.returncode, done.stderr.partition(":")[0]) == (2, "PRODUCTION_BARRED")
    assert not records.exists()


# --- typed back -----------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a toy run in production, before a gate right after which comes what stays done."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(relkit.step, "STEPS", {})
    toy.declare()
    send = relkit.step.STEPS["send"]
    relkit.step.STEPS["send"] = dataclasses.replace(send, irreversible=True)
    world = toy.Toy.at(tmp_path / "toy", rehearsal=False)
    return upto(world.open(tmp_path / "records" / "3.15.0a1"), "hang")


@pytest.mark.parametrize("typed", ["", "yes", "y", "cpython", "TOY", "toy!"])
def test_what_stays_done_is_approved_only_with_the_name_of_the_world_typed(
    real: Run, typed: str
) -> None:
    decide = real.decide
    before = list(real.ledger.records)
    error = refused(
        GateError, lambda: decide(real.propose("hang"), "approve", *RM, "seen", typed=typed)
    )
    assert error.code == "PRODUCTION_UNCONFIRMED"
    assert real.ledger.records == before


def test_with_the_name_it_is_approved_and_without_it_rejected(real: Run) -> None:
    real.decide(real.propose("hang"), "reject", *RM, "not today")
    real.decide(real.propose("hang"), "approve", *RM, "today", typed=" toy ")
    assert [one.verdict for one in real._progress["hang"].decisions] == ["reject", "approve"]


def test_a_run_in_production_says_so_on_top(real: Run) -> None:
    assert view.opened(real).text.startswith("PRODUCTION: ")


def test_where_the_way_back_does_not_end_nothing_is_typed(real: Run) -> None:
    assert real.typed("hang") == "toy"
    assert real.typed("look") == ""
    assert EXPERT[0] != RM[0]


def test_a_rehearsal_asks_for_no_name(tmp_path: Path, toy_steps: None) -> None:
    del toy_steps
    run = toy.Toy.at(tmp_path / "toy").open(tmp_path / "records" / "3.15.0a1")
    assert {run.typed(name) for name in run.steps} == {""}


@pytest.mark.parametrize("name", ["", "rehearsal", "CPYTHON"])
def test_an_answer_from_elsewhere_needs_the_name_too(
    main: Main,  # noqa: F811 (a fixture)
    place: Meeting,  # noqa: F811
    key: Path,  # noqa: F811
    name: str,
) -> None:
    asked = request(rehearsal=False, typed="cpython")
    place.put(asked)
    file = place.path(asked.key)
    say = ("--who", WHO, "--role", "windows-expert", "--reason", "seen", "--key", key)
    status, _, said = main("decide", file, *say, "--approve", "--production", name)
    assert (status, said.partition(":")[0]) == (1, "PRODUCTION_UNCONFIRMED")
    assert answers(file) == []
    assert main("decide", file, *say, "--approve", "--production", "cpython")[0] == 0
    assert len(answers(file)) == 1


# --- the world ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_part_of_production_is_wired_and_the_doctor_finds_all_of_it_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The world of production, by the code that makes it, on systems of this machine."""
    with real_world(tmp_path, "3.15.0a1", "alpha", "2026-05-05") as real:
        for name, value in real.env.items():
            monkeypatch.setenv(name, value)
        world, close = as_production(real.file, real.state, real.release)
        try:
            assert not world.rehearsal
            found = {one.what: one for one in doctor.examine(real.release, world)}
        finally:
            close()
    ill = {what: one for what, one in found.items() if not one.well}
    # The scanner and Sigstore's keys are asked over a network that tests do not have.
    assert {one.stands for one in ill.values()} <= {"SIGNER_UNUSABLE", "UNKNOWN", "ADVISORIES"}
    systems = [what for what in found if what in doctor.probes(real.release, world)]
    assert len(systems) == len(doctor.probes(real.release, world))
    assert not {*systems} & {*ill}


def as_production(path: Path, state: Path, release: Release) -> tuple[World, Callable[[], None]]:
    """Return the world of a production whose systems are those of a file of a rehearsal."""
    file, digest = read_world_file(path)
    home, keys = state / "gnupg", state / "keys"
    (fingerprint,) = {one.stem for one in (home / "openpgp-revocs.d").glob("*.rev")}
    public = {
        name: Identity(scheme="ssh", key=one) for name, one in _public_keys(file, keys).items()
    }
    people = {
        role: one.model_copy(
            update={
                "played": False,
                "identities": {who: (public[who],) for who in (one.name, *one.also)},
            }
        )
        for role, one in file.people.items()
    }
    services: Services = file.services.model_copy(
        update={
            "gpg": Gpg(fingerprint=fingerprint, home=str(home)),
            "sigstore": Sigstore(issuer="https://rehearsal.invalid/oidc"),
        }
    )
    real = file.model_copy(
        update={"form": "production", "name": "loopback", "people": people, "services": services}
    )
    systems = Systems(
        file=_with_words(real, state),
        state=state / "real",
        artifacts=state / "real" / "artifacts",
        release=release,
        secrets=Secrets("loopback"),
    )
    assert isinstance(systems.sigstore, Instance)
    with ExitStack() as stack:
        world = production_world(stack, systems, digest, "0" * 16)
        closes = stack.pop_all()
    return world, closes.close


def _with_words(file: WorldFile, state: Path) -> WorldFile:
    """Return the file with release data and a meeting place in repositories of this machine."""
    meeting = state / "meeting.git"
    rehearsals.git(state, "init", "--bare", "--quiet", str(meeting))
    return file.model_copy(
        update={
            "services": file.services.model_copy(
                update={
                    "announcements": Announcements(peps=str(state / "peps.git")),
                    "people": People(meeting=str(meeting)),
                }
            )
        }
    )


def _public_keys(file: WorldFile, keys: Path) -> dict[str, str]:
    paths = {name: key_of(keys.parent, name) for name in names_of(file)}
    return {name: public_key(one.with_name(f"{one.name}.pub")) for name, one in paths.items()}


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


# --- what the doctor says -------------------------------------------------------------------------


def test_the_doctor_says_each_thing_on_a_line_and_the_same_remedy_once() -> None:
    said = "it cannot be read:\nno route\n\nto host " + "x" * 200
    ill = [
        doctor.Finding(what, "UNREACHABLE", said, "Look at the line.") for what in ("one", "two")
    ]
    ill.append(doctor.Finding("three", "UNKNOWN", "", "Look again."))
    well = doctor.Finding("four", "well", "")
    lines = [cli_doctor.in_a_line(one) for one in [*ill, well]]
    assert lines[0].startswith("!!  one: UNREACHABLE: it cannot be read: no route to host xxx")
    assert (lines[2], lines[3]) == ("!!  three: UNKNOWN", "ok  four: well")
    assert all("\n" not in one and len(one) < 150 for one in lines)
    assert cli_doctor.to_see_to(ill) == [
        "UNREACHABLE: one; two",
        "    it cannot be read:",
        "    no route",
        f"    to host {'x' * 200}",
        "    What to do: Look at the line.",
        "UNKNOWN: three",
        "    What to do: Look again.",
    ]
