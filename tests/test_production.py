"""Production: opened only by name and complete, out of reach of tests, confirmed by its name."""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Annotated, Any, get_args

import pytest
import rehearsals
import toy
from pydantic import TypeAdapter, ValidationError
from real_world import real_world
from test_cli_decide import WHO, Main, answers, key, main, place, request  # noqa: F401 (fixtures)
from test_run import EXPERT, RM, refused, upto

import relkit.step
from relkit import doctor, view
from relkit.adapters.meeting import Meeting
from relkit.adapters.secrets import Secrets, variable
from relkit.adapters.sigstore_instance import Instance
from relkit.adapters.ssh import make_key, public_key
from relkit.decision import read_decision
from relkit.errors import GateError, UsageError
from relkit.places import Announcements, Gpg, People, Services, Sigstore, Ssh
from relkit.ports import World
from relkit.real.gaps import HINTS, OPTIONAL, PARTS, lacking
from relkit.real.production import BARRED, open_production, require_complete
from relkit.real.systems import Systems
from relkit.real.world import attestor, production_world
from relkit.rehearsal.making import key_of, names_of
from relkit.release import Release
from relkit.run import Run
from relkit.values import Identity
from relkit.worlds import MOST, WorldFile, hosts, listed, read_world_file

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
    first, *gaps = str(refusal.value).splitlines()
    assert (
        first == "WORLD_INCOMPLETE: the file of the world cpython leaves out, each with an example:"
    )
    for table, name in (
        ("services.git", "fork"),
        ("services.gpg", "fingerprint"),
        ("services.docs", "host_keys"),
        ("services.azure.builds", "windows"),
        ("people.macos-expert.identities", '"Ned Deily"'),
    ):
        (line,) = (one for one in gaps if one.startswith(f"  [{table}] {name} = "))
        assert re.fullmatch(r".+ = \S.*: \w.+", line), "an example, and what it is"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("unbarred")
def test_what_is_left_out_stands_a_line_each_on_the_terminal_and_in_a_notebook(
    main: Main,  # noqa: F811 (a fixture)
    tmp_path: Path,
) -> None:
    where = ("--world", SHIPPED, "--records", tmp_path / "records")
    status, _, said = main("doctor", "3.15.0a2", *where)
    error = UsageError(said.partition(": ")[2].partition("\nWhat")[0], code="C", remedy="R.")
    shown = "\n".join(error._render_traceback_()).splitlines()
    assert status == UsageError.exit_status
    gaps = [line for line in said.splitlines() if line.startswith("  [")]
    assert len(gaps) == len(list(lacking(read_world_file(SHIPPED)[0], RELEASE))) > 9
    assert [line for line in shown if line.startswith("  [")] == gaps
    assert shown[-1] == "What to do: R."


@pytest.mark.parametrize("gap", [str(one) for one in lacking(read_world_file(SHIPPED)[0], RELEASE)])
def test_each_example_is_one_that_the_file_may_have(gap: str) -> None:
    table, line = re.fullmatch(r"(?:\[(.+?)\] )?(.+?): [^:]+", gap).groups()  # type: ignore[union-attr]  # it fits
    found = tomllib.loads(f"[{table}]\n{line}" if table else line)
    part, *rest = (table or "").split(".")
    assert part in {"people", "services"}
    assert found[part][rest[0]]


@pytest.mark.usefixtures("unbarred")
def test_a_file_with_everything_filled_in_is_complete() -> None:
    file = filled(read_world_file(SHIPPED)[0])
    assert list(lacking(file, RELEASE)) == []
    require_complete(file, RELEASE)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_missed_if_it_is_not_there(part: str) -> None:
    file = filled(read_world_file(SHIPPED)[0])
    services = file.services.model_copy(update={part: None})
    (gap,) = lacking(file.model_copy(update={"services": services}), RELEASE)
    assert gap.table == f"services.{part}"
    assert gap.what.endswith("(the whole table is missing)")


@pytest.mark.parametrize(
    ("part", "field"), [one.split(".") for one in HINTS if "." in one and "builds" not in one]
)
def test_each_field_is_missed_if_it_is_empty(part: str, field: str) -> None:
    file = filled(read_world_file(SHIPPED)[0])
    there = getattr(file.services, part)
    empty = () if isinstance(getattr(there, field), tuple) else ""
    services = file.services.model_copy(update={part: there.model_copy(update={field: empty})})
    (gap,) = lacking(file.model_copy(update={"services": services}), RELEASE)
    assert (gap.table, gap.example.partition(" = ")[0]) == (f"services.{part}", field)


def test_whatever_may_be_left_empty_is_optional_or_has_a_hint() -> None:
    """Numbers, switches, and what the form of the file keeps from being empty are neither."""
    for part in PARTS:
        (model,) = (
            one for one in get_args(Services.model_fields[part].annotation) if one is not NoneType
        )
        for name, field in model.model_fields.items():
            kind: Any = Annotated[field.annotation, "", *field.metadata]
            adapter: TypeAdapter[Any] = TypeAdapter(kind)
            nothing: Any
            for nothing in ("", []):
                try:
                    adapter.validate_python(nothing)
                except ValidationError:
                    continue
                assert f"{part}.{name}" in {*HINTS, *OPTIONAL}, (part, name)


def test_a_person_who_decides_and_has_no_identity_is_missed() -> None:
    file = filled(read_world_file(SHIPPED)[0])
    role = file.people["windows-expert"].model_copy(update={"also": ("Somebody Else",)})
    people = {**file.people, "windows-expert": role}
    found = list(lacking(file.model_copy(update={"people": people}), RELEASE))
    assert [(one.table, one.example.partition(" = ")[0]) for one in found] == [
        ("people.windows-expert.identities", '"Somebody Else"')
    ]


@pytest.mark.parametrize(
    ("mine", "enough"),
    [
        (Identity(scheme="gpg", key="A" * 40), True),
        (Identity(scheme="gpg", key="B" * 40), False),
        (Identity(scheme="sigstore", key="me@python.org", issuer="https://issuer.org"), False),
    ],
)
def test_a_release_manager_who_could_sign_nothing_at_the_notebook_is_told_weeks_before(
    mine: Identity, *, enough: bool
) -> None:
    file = filled(read_world_file(SHIPPED)[0])
    role = file.people[RM[1]]
    people = {**file.people, RM[1]: role.model_copy(update={"identities": {role.name: (mine,)}})}
    found = [str(one) for one in lacking(file.model_copy(update={"people": people}), RELEASE)]
    assert len(found) == (not enough)
    assert all("at the notebook signs an SSH key" in one for one in found)


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
        *(
            ('host = "downloads.nyc1.psf.io"', f'host = "{name}"')
            for name in ("localhost", "LOCALHOST", "127.0.0.2", "0.0.0.0", "a.localhost")  # noqa: S104 (no socket)
        ),
        ("https://www.python.org/", "https://localhost./"),
        ("https://www.python.org/", "https://[::ffff:127.0.0.1]/"),
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


def refusal_of(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    """Return the lines in which the shipped file is refused, once it was changed."""
    words = SHIPPED.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in words
        words = words.replace(old, new)
    with pytest.raises(UsageError) as refusal:
        read_world_file(written(tmp_path, words))
    return str(refusal.value).splitlines()


def test_what_is_wrong_in_several_places_is_said_a_line_each(tmp_path: Path) -> None:
    mixed = refusal_of(
        tmp_path,
        ('"https://buildbot.python.org/all/"', '"http://127.0.0.1:1/"'),
        ("downloads.nyc1.psf.io", "localhost"),
    )
    assert mixed == [
        "WORLD_MIXED: w.toml is the file of a production, and names what is on this machine:",
        "  [services.buildbot] url: 127.0.0.1",
        "  [services.downloads] host: localhost",
    ]
    nobody = refusal_of(
        tmp_path,
        ("[people.macos-expert", "[people.mac-expert"),
        ('waivers = ["', 'waivers = ["x", "'),
    )
    assert nobody[0] == "WORLD_FILE: w.toml: nobody has these roles:"
    assert nobody[1:] == ["  x, asked by waivers", "  macos-expert, asked by [gates] macos"]


def test_all_that_a_world_may_not_say_is_said_and_never_what_stands_there(tmp_path: Path) -> None:
    """Somebody may have pasted a token into the file."""
    found = refusal_of(
        tmp_path,
        ('name = "cpython"', 'name = "ghp_secret secret"'),
        ("pipeline = 21", 'pipeline = "ghp_secret"'),
        ('posts = ["', 'token = "ghp_secret"\nposts = ["ghp_secret", "'),
    )
    assert found[0] == "WORLD_FILE: w.toml does not describe a world:"
    assert [one.partition(": ")[0] for one in found[1:]] == [
        "  name",
        "  [services.azure] pipeline",
        "  [services.announcements.posts] 0",
        "  [services.announcements] token",
    ]
    assert "secret" not in "\n".join(found)


def test_of_very_many_things_the_first_are_named_and_the_rest_counted() -> None:
    assert listed(["one"]) == " one"
    assert listed(["one", "two"]) == "\n  one\n  two"
    assert listed([str(n) for n in range(MOST + 7)]).splitlines()[-1] == "  and 7 more"


@pytest.mark.parametrize("state", [".", "..", "...", ".git", "-x"])
def test_the_state_of_a_world_lies_in_a_folder_of_its_own(tmp_path: Path, state: str) -> None:
    (fault,) = refusal_of(tmp_path, ('state = "cpython-world"', f'state = "{state}"'))
    assert "state: String should match" in fault


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
def production_steps(toy_steps: None) -> None:
    """Let what stays done come right after a gate."""
    del toy_steps
    send = relkit.step.STEPS["send"]
    relkit.step.STEPS["send"] = dataclasses.replace(send, irreversible=True)


@pytest.fixture
def real(tmp_path: Path, production_steps: None) -> Run:
    """Return a toy run in production, before a gate right after which comes what stays done."""
    del production_steps
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


@pytest.mark.parametrize("typed", ["", "cpython"])
def test_an_answer_that_lies_there_without_the_name_opens_nothing(real: Run, typed: str) -> None:
    """As one is made of a request that was altered where it lay, and asks for no name."""
    real.decide(real.propose("hang"), "approve", *RM, "seen", typed="toy")
    asked = real.ask(real.propose("hang"))
    assert asked == ("expert",)
    people = toy.toy_of(real.world).people
    (put,) = people.requests()
    assert put.typed == "toy"
    people.send(people.answer(put.model_copy(update={"typed": typed}), "expert"), put.key)
    assert real.ask(real.propose("hang")) == ("expert",)
    assert [one.code for one in real.refusals("hang")] == ["PRODUCTION_UNCONFIRMED"]
    people.send(people.answer(put, "expert"), put.key)
    assert real.ask(real.propose("hang")) == ()


def test_who_takes_a_run_over_types_the_name_as_well(
    tmp_path: Path, production_steps: None
) -> None:
    del production_steps
    people = (*toy.POLICY.people, toy.person("Nora", RM[1]))
    policy = toy.POLICY.model_copy(update={"people": people})
    outside = toy.Toy.at(tmp_path / "toy", rehearsal=False, policy=policy)
    run = upto(outside.open(tmp_path / "records" / "3.15.0a1"), "hang")
    run.ask(run.propose("hang"))
    run.hand_over("Nora", *RM, "a flight")
    run.ask(run.propose("hang"))
    assert [one.typed for one in outside.people.requests()] == ["toy"]
    nora = ("Nora", RM[1], "seen")
    for typed in ("", "Nora"):
        error = refused(
            GateError,
            lambda: run.decide(run.propose("hang"), "approve", *nora, typed=typed),  # noqa: B023 (called at once)
        )
        assert error.code == "PRODUCTION_UNCONFIRMED"
    run.decide(run.propose("hang"), "approve", *nora, typed="toy")
    assert run.ask(run.propose("hang")) == ("expert",)


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
    (signed,) = answers(file)
    assert read_decision(signed.text).typed == "cpython"


def test_who_types_a_name_that_is_not_asked_for_signs_nothing(
    main: Main,  # noqa: F811 (a fixture)
    place: Meeting,  # noqa: F811
    key: Path,  # noqa: F811
) -> None:
    """A request that was altered where it lay is noticed by whoever knows that it is production."""
    asked = request()
    place.put(asked)
    say = ("--who", WHO, "--role", "windows-expert", "--reason", "seen", "--key", key)
    found = main("decide", place.path(asked.key), *say, "--approve", "--production", "cpython")
    assert (found[0], found[2].partition(":")[0]) == (1, "PRODUCTION_UNCONFIRMED")
    assert answers(place.path(asked.key)) == []


# --- the world ------------------------------------------------------------------------------------


@pytest.mark.parametrize("signs_in", [True, False])
def test_of_several_ssh_keys_the_one_that_signs_in_signs_or_else_the_first(
    tmp_path: Path, *, signs_in: bool
) -> None:
    own = tmp_path / "id"
    make_key(own)
    mine = public_key(own.with_name("id.pub"))
    first, last = (f"ssh-ed25519 {'A' * 66}{n:02}" for n in range(2))
    identities = tuple(Identity(scheme="ssh", key=one) for one in (first, mine, last))
    person = toy.POLICY.person(RM[1]).model_copy(update={"identities": identities})
    policy = toy.POLICY.model_copy(update={"people": (person,)})
    services = Services(ssh=Ssh(identity_file=str(own) if signs_in else ""))
    file = read_world_file(SHIPPED)[0].model_copy(update={"services": services})
    systems = Systems(file, tmp_path, tmp_path, RELEASE, Secrets("x", ask=lambda _: ""))
    nobody: Any = SimpleNamespace(fingerprint="")
    used = attestor(systems, policy, nobody, nobody).keys[RM[0]]
    assert used == own if signs_in else used.read_text(encoding="utf-8") == f"{first}\n"


@pytest.mark.slow
def test_every_part_of_production_is_wired_and_the_doctor_finds_all_of_it_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The world of production, by the code that makes it, on systems of this machine."""
    with real_world(tmp_path, "3.15.0a1", "alpha", "2026-05-05") as real:
        for name, value in real.env.items():
            mine = name.replace(variable("rehearsal", ""), variable("loopback", ""))
            monkeypatch.setenv(mine, value)
        world, close = as_production(real.file, real.state, real.release)
        try:
            assert not world.rehearsal
            found = list(doctor.examine(real.release, world))
        finally:
            close()
    ill = {one.row: one for one in found if not one.well}
    # Tests have no network for the scanner and Sigstore, and no agent for keys.
    assert {*ill} <= {"signing", "decisions", "scanner"}, ill
    absent = {one.row for one in found if one.outcome == "absent"}
    assert absent == {"certificates", "push to blog"}


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
