"""A toy release in a toy world: what the engine needs, and nothing else.

The outside is a folder of JSON files, so that it outlives a process that is killed. Each counts how
often something was done to it: in an equal world nothing was done twice. What the planning
functions read of it (the knobs of `Box`) is turned by the tests, as others turn it in a release.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

from relkit import step as steps
from relkit.decision import Verdict, decision_text, read_decision
from relkit.errors import VerificationError
from relkit.plan import Action, Check, Evidence, Expect, Plan, Result, Wait
from relkit.policy import Policy
from relkit.ports import World
from relkit.release import Release
from relkit.run import Run
from relkit.step import Results, step
from relkit.values import Artifact, Identity, Person, Request, Signed, Testimony, Value

NOW = datetime(2026, 5, 5, 12, tzinfo=UTC)
RELEASE = Release.parse("3.15.0a1", "alpha", "2026-05-05")
ORDER = ("look", "paint", "hang", "bake", "send")


def person(name: str, role: str) -> Person:
    """Return a person whose key is made of the name."""
    return Person(name=name, role=role, time_zone="UTC", identities=(identity(name),))


UNSIGNED = Signed(scheme="ssh", text="", signature="")


def identity(name: str) -> Identity:
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + hashlib.sha256(name.encode()).digest()
    return Identity(scheme="ssh", key=f"ssh-ed25519 {base64.b64encode(blob).decode()}")


class Pens:
    """Signatures that everybody could forge, and that are quick: the digest of key and text."""

    def sign(self, *, who: str, text: str) -> Signed:
        return Signed(scheme="ssh", text=text, signature=self._stroke(identity(who).key, text))

    def verify(self, *, signed: Signed, identity: Identity) -> None:
        if signed.signature != self._stroke(identity.key, signed.text):
            raise VerificationError("another hand", code="SSH_INVALID", remedy="Ask.")

    def _stroke(self, key: str, text: str) -> str:
        return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()


POLICY = Policy(
    people=(
        person("Rika", "release-manager"),
        person("Elif", "expert"),
        person("Emil", "expert"),
    ),
    gates={"hanging": ("release-manager", "expert")},
    waivers=("release-manager",),
    present=("release-manager", "expert"),
    sigstore_identity="rika@example.org",
    sigstore_issuer="https://accounts.example.org",
    gpg_fingerprint="A" * 40,
)


def _nothing() -> None:
    """Do nothing; a test that kills puts something else in its place."""


class Outside:
    """A system outside, kept in one JSON file; `moment` is called before and after a change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.moment: Callable[[], None] = _nothing

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}
        return found

    def change(self, key: str, value: object) -> None:
        self.moment()
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self.read() | {key: value}, indent=1, sort_keys=True))
        fresh.replace(self.path)
        self.moment()

    def turn(self, key: str, value: object) -> None:
        """Let somebody else change something."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.read() | {key: value}, indent=1, sort_keys=True))


class Box(Outside):
    """Things by key; a thing that is put again counts one more time."""

    def put(self, *, key: str, value: str) -> None:
        times = self.read().get(key, {}).get("times", 0)
        self.change(key, {"value": value, "times": times + 1})

    def fill(self, *, keys: tuple[str, ...]) -> None:
        for key in keys:
            if self.value(key=key) is None:
                self.put(key=key, value="full")

    def value(self, *, key: str) -> str | None:
        found: str | None = self.read().get(key, {}).get("value")
        return found

    def values(self, *, keys: tuple[str, ...]) -> dict[str, str | None]:
        return {key: self.value(key=key) for key in keys}

    def knob(self, key: str, default: str = "") -> str:
        return str(self.read().get(f"knob {key}", default))


class Cake(Value):
    """What a build leaves."""

    name: str
    starts: int


class Builds(Outside):
    """Builds that go on by themselves; a swift one is done at once."""

    swift = True

    def start(self, *, name: str) -> None:
        starts = self.read().get(name, {}).get("starts", 0)
        self.change(name, {"status": "done" if self.swift else "running", "starts": starts + 1})

    def stop(self, *, name: str) -> None:
        self.change(name, {"status": "absent", "starts": self.starts(name=name)})

    def status(self, *, name: str) -> str:
        return str(self.read().get(name, {}).get("status", "absent"))

    def starts(self, *, name: str) -> int:
        return int(self.read().get(name, {}).get("starts", 0))

    def cake(self, *, name: str) -> Cake | None:
        done = self.status(name=name) == "done"
        return Cake(name=name, starts=self.starts(name=name)) if done else None

    def set(self, name: str, status: str) -> None:
        """Let a build end, fail or be lost by itself."""
        self.turn(name, {"status": status, "starts": self.starts(name=name)})


class People(Outside):
    """Who is told, asked and answers; obliging people approve as soon as they are asked."""

    obliging = False
    now: Callable[[], datetime] = staticmethod(lambda: NOW)

    def tell(self, *, nonce: str, text: str) -> None:
        sent = self.read().get(nonce, [])
        self.change(nonce, [*sent, text])

    def told(self, *, nonce: str) -> bool:
        return nonce in self.read()

    def ask(self, *, request: Request) -> None:
        self.change(f"asked {request.key}", request.to_data())
        if self.obliging and not self.answers(key=request.key):
            self.turn(
                f"answers {request.key}",
                [self.answer(request, role).to_data() for role in request.roles],
            )

    def answer(
        self,
        request: Request,
        role: str,
        *,
        verdict: Verdict = "approve",
        reason: str = "seen",
        who: str = "",
        at: datetime | None = None,
    ) -> Signed:
        """Return what the first person in a role would answer."""
        name = who or POLICY.person(role).name
        text = decision_text(
            request,
            who=name,
            role=role,
            verdict=verdict,
            reason=reason,
            at=at or self.now(),
            typed=request.typed,
        )
        return Pens().sign(who=name, text=text)

    def send(self, answer: Signed, key: str) -> None:
        """Let an answer to the request of that key arrive."""
        name = f"answers {key}"
        self.turn(name, [*self.read().get(name, []), answer.to_data()])

    def testify(self, *, testimony: Testimony) -> None:
        self.change(f"evidence {testimony.name}", testimony.to_data())

    def testimony(self, *, name: str) -> Testimony | None:
        found = self.read().get(f"evidence {name}")
        return Testimony.model_validate(found) if found else None

    def requests(self) -> list[Request]:
        found = self.read().items()
        return [Request.model_validate(x) for name, x in found if name.startswith("asked ")]

    def answers(self, *, key: str) -> tuple[Signed, ...]:
        found = self.read().get(f"answers {key}", [])
        return tuple(Signed.model_validate(one) for one in found)


@dataclass
class Clock:
    """A clock that a test sets."""

    time: datetime = NOW

    def now(self) -> datetime:
        return self.time


@dataclass(frozen=True)
class Toy:
    """The toy world: the fields of a world that the engine uses, and three ports."""

    box: Box
    builds: Builds
    people: People
    clock: Clock
    policy: Policy = POLICY
    attestations: Pens = field(default_factory=Pens)
    name: str = "toy"
    rehearsal: bool = True
    systems: tuple[str, ...] = ()
    digest: str = "d" * 64
    nonce: str = "nonce-1"
    patience_seconds: float = 0.0

    @classmethod
    def at(cls, folder: Path, **changes: Any) -> Toy:  # noqa: ANN401 (whatever a field is)
        """Return the toy world whose outside is kept in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        box, builds = Box(folder / "box.json"), Builds(folder / "builds.json")
        return cls(box, builds, People(folder / "people.json"), Clock(), **changes)

    @property
    def world(self) -> World:
        """The toy as what the engine takes it for."""
        return cast("World", self)

    @property
    def outside(self) -> dict[str, Any]:
        """Everything outside, to be compared: of requests and answers what does not name a line
        of the ledger, which a kill moves.
        """
        found = {one.path.name: one.read() for one in (self.box, self.builds)}
        people = {name: _lasting(name, said) for name, said in self.people.read().items()}
        return {**found, "people": people}

    def open(self, folder: Path, release: Release = RELEASE) -> Run:
        """Open the toy run."""
        return Run.open(release, self.world, folder)


def _lasting(name: str, said: Any) -> object:  # noqa: ANN401 (JSON)
    if name.startswith("asked "):
        return said | {"head": ""}
    if name.startswith("answers "):
        return [read_decision(one["text"]).model_copy(update={"head": ""}) for one in said]
    return said


def toy_of(world: World) -> Toy:
    """Return the toy that a planning function was given as its world."""
    return cast("Toy", world)


class Seen(Value):
    """What `look` hands on."""

    colour: str


def declare() -> None:
    """Declare the toy steps, into the `relkit.step.STEPS` that is there now."""

    @step(phase="Begin", where="the box", returns=Seen)
    def look(_release: Release, world: World, _results: Results) -> Plan:
        """Look at the box.

        Nothing is changed by looking.
        """
        box = toy_of(world).box
        yield Check("the box is whole", box.knob("broken") == "", code="BROKEN", remedy="Mend it.")
        lamp = box.knob("lamp", "green")
        yield Check(
            "the lamp is green",
            None if lamp == "dark" else lamp == "green",
            found=box.knob("gossip"),
            code="LAMP",
            waivable=True,
        )
        yield Check("the box is clean", box.knob("dust") == "", warns=True)
        yield Result(Seen(colour=box.knob("colour", "blue")))

    @step(phase="Begin", where="the box", after=[look])
    def paint(_release: Release, world: World, results: Results) -> Plan:
        """Paint the wall."""
        box, colour = toy_of(world).box, results[look].colour
        yield Action(
            do=partial(box.put, key="wall", value=colour),
            done=Expect(partial(box.value, key="wall"), equals=colour),
            undo=partial(box.put, key="wall", value="white"),
        )
        keys = ("a", "b")
        yield Action(
            do=partial(box.fill, keys=keys),
            done=Expect(partial(box.values, keys=keys), has=dict.fromkeys(keys, "full")),
            undo="what is full stays full",
        )

    @step(phase="Show", where="the wall", after=[look], gate="hanging")
    def hang(_release: Release, world: World, _results: Results) -> Plan:
        """Hang the picture."""
        box = toy_of(world).box
        picture = box.knob("picture", "a boat").encode()
        yield Check("the nail holds", box.knob("nail") == "", code="NAIL", waivable=True)
        yield Evidence("the label", box.knob("label", "A boat\n"))
        yield Artifact(
            name="picture.png", size=len(picture), sha256=hashlib.sha256(picture).hexdigest()
        )
        yield Action(
            do=partial(box.put, key="hung", value=picture.decode()),
            done=Expect(partial(box.value, key="hung")),
            undo=partial(box.put, key="hung", value=""),
        )

    @step(phase="Show", where="the kitchen", after=[paint], returns=Cake)
    def bake(_release: Release, world: World, _results: Results) -> Plan:
        """Bake the cake."""
        builds = toy_of(world).builds
        status = builds.status(name="cake")
        yield Check("the cake is not burnt", status != "failed", code="BURNT")
        yield Wait(
            "the cake",
            "the baker",
            timedelta(hours=1),
            ready=status == "done",
            progress=status,
            start=partial(builds.start, name="cake") if status == "absent" else None,
            stop=partial(builds.stop, name="cake"),
        )
        yield Result(partial(builds.cake, name="cake"))

    @step(phase="Show", where="mail", after=[hang, bake])
    def send(_release: Release, world: World, results: Results) -> Plan:
        """Send the invitation."""
        people, nonce = toy_of(world).people, f"{world.nonce}-party"
        yield Action(
            do=partial(people.tell, nonce=nonce, text=f"cake {results[bake].starts}"),
            done=Expect(partial(people.told, nonce=nonce)),
            undo="a message stays sent",
        )


def declare_more() -> None:
    """Declare steps for what a whole release has and the five do not: after `declare`."""

    @step(phase="More", where="the gate", after=[steps.STEPS["look"]], gate="hanging")
    def quiet(_release: Release, world: World, _results: Results) -> Plan:
        """Decide, if there is something to decide."""
        if words := toy_of(world).box.knob("words"):
            yield Evidence("the words", words)

    @step(phase="More", where="the shop", after=[steps.STEPS["look"]])
    def buy(_release: Release, world: World, _results: Results) -> Plan:
        """Buy bread and candles; without candles there is less light."""
        box, hour = toy_of(world).box, timedelta(hours=1)
        yield Wait("bread", "the baker", hour, box.knob("bread", "yes") == "yes")
        yield Wait("candles", "the shop", hour, box.knob("candles") == "yes", waivable=True)
        light = "candles" if box.knob("candles") == "yes" else "moon"
        yield Action(
            do=partial(box.put, key="light", value=light),
            done=Expect(partial(box.value, key="light"), equals=light),
            undo=partial(box.put, key="light", value="none"),
        )

    @step(phase="More", where="the door", after=[steps.STEPS["look"]])
    def ring(_release: Release, world: World, _results: Results) -> Plan:
        """Have the bell rung by hand."""
        people, key = toy_of(world).people, f"{world.nonce}-bell"
        given = people.testimony(name=key)
        yield Wait("evidence: bell", "expert", timedelta(hours=1), given is not None)
        yield Evidence("the bell", given.text if given else "")

    @step(phase="More", where="the street", after=[steps.STEPS["send"]], irreversible=True)
    def sing(_release: Release, world: World, _results: Results) -> Plan:
        """Sing in the street: what was heard was heard."""
        box = toy_of(world).box
        yield Check("it is dry", box.knob("rain") == "", code="RAIN")
        yield Action(
            do=partial(box.put, key="song", value="sung"),
            done=Expect(partial(box.value, key="song")),
            undo="what was heard was heard",
        )


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path; what a process holds open is not in it."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def write_whole(path: Path, data: bytes) -> None:
    """Write bytes as an attacker or an accident would: without asking anybody."""
    with contextlib.suppress(FileNotFoundError):
        os.chmod(path, 0o600)  # noqa: PTH101
    path.write_bytes(data)
