"""A sealed record that is as small as one can be, for those who verify it.

The toy release, decided with real SSH keys, sealed by a real Sigstore client against a local
instance. What its notebook shows is put together here: a replay knows no toy steps.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import nbformat
import pytest
import toy
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken

import relkit.step
from relkit import render, replay, sealing
from relkit.adapters import ssh
from relkit.adapters.attest import Attestor
from relkit.adapters.sigstore import SigstoreSigner
from relkit.decision import Verdict, decision_text
from relkit.guide import guide
from relkit.history import History
from relkit.ledger import Ledger, parse
from relkit.policy import Policy
from relkit.rehearsal.sigstore import LoopbackSigstore
from relkit.values import Identity, Person, Request, Signed, canonical
from relkit.verify_record import Pack, verify
from relkit.verify_record import Verdict as Found
from relkit.verify_record.shown import _given, _picture, _shown
from relkit.verify_record.walk import Walk

nbf: Any = nbformat  # it has no types
v4: Any = nbformat.v4
MANAGER, EXPERT = "release-manager", "expert"
IDENTITY = "rika@example.org"
Files = dict[str, bytes]


class Answering(toy.People):
    """People who answer as soon as they are asked, with keys of their own."""

    obliging = True
    attestor: Attestor
    roles: Mapping[str, str]

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
        name = who or next(name for name, its in self.roles.items() if its == role)
        text = decision_text(
            request,
            who=name,
            role=role,
            verdict=verdict,
            reason=reason,
            at=at or self.now(),
            typed=request.typed,
        )
        return self.attestor.sign(who=name, text=text)


@dataclass
class Maker:
    """Makes sealed records; its keys and its Sigstore instance are kept in a folder."""

    folder: Path
    sigstore: LoopbackSigstore
    manager: str = "Rika"

    @property
    def roles(self) -> dict[str, str]:
        return {self.manager: MANAGER, "Elif": EXPERT, "Emil": EXPERT}

    @property
    def attestor(self) -> Attestor:
        keys = {name: self.folder / "keys" / f"key-{n}" for n, name in enumerate(self.roles)}
        for path in keys.values():
            if not path.exists():
                ssh.make_key(path)
        return Attestor(keys=keys)

    def policy(self, **changes: object) -> Policy:
        """Return the toy's policy with real keys."""
        keys = self.attestor.keys
        people = tuple(
            Person(name=name, role=role, time_zone="UTC", identities=(_identity(keys[name]),))
            for name, role in self.roles.items()
        )
        update: dict[str, object] = {
            "people": people,
            "sigstore_identity": IDENTITY,
            "present": (MANAGER,),
        }
        update |= {"sigstore_issuer": self.sigstore.issuer, **changes}
        return toy.POLICY.model_copy(update=update)

    @property
    def root(self) -> bytes:
        """The instance's trusted root."""
        return self.sigstore.trusted_root().encode()

    def run(
        self, folder: Path, *, days: int = 0, nonce: str = "nonce-1", rehearsal: bool = True
    ) -> History:
        """Carry the toy release through, so many days later; return its history."""
        outside = toy.Toy.at(
            folder / "world", policy=self.policy(), nonce=nonce, rehearsal=rehearsal
        )
        people = Answering(folder / "world" / "people.json")
        people.attestor, people.roles = self.attestor, self.roles
        outside.clock.time += timedelta(days=days)
        people.now = outside.clock.now
        attestations = cast("toy.Pens", self.attestor)
        outside = replace(outside, people=people, attestations=attestations)
        run = outside.open(folder / "3.15.0a1")
        for _ in run.advance():
            outside.clock.time += timedelta(seconds=30)
        run.close()
        return History.read(folder / "3.15.0a1")

    def files(self, history: History) -> Files:
        """Return the files of the record but for seal and signature."""
        folder = history.ledger.path.parent
        found = {name: (folder / name).read_bytes() for name in (sealing.LEDGER, sealing.HEAD)}
        return found | {sealing.ROOT: self.root} | self.derived(found)

    def derived(self, found: Files) -> Files:
        """Return what follows from a ledger."""
        walk = walked(found)
        book = render.notebook(walk.release.kind)
        place = next(n for n, one in enumerate(book.cells) if one.id == "parameters")
        given = v4.new_code_cell(_given(walk), id="injected-parameters")
        given.metadata["tags"] = ["injected-parameters"]
        book.cells.insert(place + 1, given)
        for cell in book.cells:
            for shown in _shown(walk, cell.id, _picture(walk)):
                made = v4.new_output("display_data", data=shown.bundle())
                cell.outputs.append(made)
        page = replay.to_html(book, f"Python {walk.release.name}: record")
        called = sealing.principals(walk.policy)
        lines = [
            ssh.allowed_signer(called[one.name], key.key, "decision@relkit")
            for one in walk.policy.people
            for key in one.identities
        ]
        return sealing.from_ledger(walk) | {
            sealing.NOTEBOOK: (nbf.writes(book, version=4) + "\n").encode(),
            sealing.PAGE: page.encode(),
            sealing.SIGNERS: "".join(lines).encode(),
        }

    def seal(self, files: Files, *, who: str = IDENTITY) -> Files:
        """Return the files with guide, seal, list of digests, and a signature of it."""
        files = unsealed(files)
        walk = walked(files)
        files[sealing.GUIDE] = guide(walk, files, sealing.signing(walk))
        made = sealing.Seal(
            version=walk.release.name,
            kind=walk.release.kind,
            rehearsal=walk.inputs.rehearsal,
            ledger_head=walk.ledger.head,
            ledger_records=len(walk.ledger.records),
            policy_digest=walk.inputs.policy_digest,
            signed_by=sealing.signing(walk),
            files={path: sha256(files[path]) for path in sorted(files)},
            attempts={},
        )
        files[sealing.SEAL] = (made.model_dump_json(indent=1) + "\n").encode()
        return self.sign(files, who=who)

    def sign(self, files: Files, *, who: str = IDENTITY) -> Files:
        """Return the files with a new list of digests, and a signature of it."""
        listed = {path: data for path, data in files.items() if not path.startswith("SHA256SUMS")}
        sums = sealing.sums_text(listed)
        bundle = self.bundle(sha256(sums), who)
        return listed | {sealing.SUMS: sums, f"{sealing.SUMS}.sigstore": bundle}

    def bundle(self, digest: str, who: str = IDENTITY) -> bytes:
        """Return somebody's signature over a digest."""
        with SigstoreSigner(
            trust_config=lambda: ClientTrustConfig.from_json(self.sigstore.trust_config()),
            identity=who,
            issuer=self.sigstore.issuer,
            token=lambda: IdentityToken(self.sigstore.mint(who)),
        ) as signer:
            return signer._sign_digest(digest)


def walked(files: Files) -> Walk:
    """Return the ledger as it is read; what is wrong with it is found later."""
    records, head = parse(files[sealing.LEDGER], sealing.LEDGER)
    made = Ledger(Path(sealing.LEDGER), records, lambda: toy.NOW, head)
    return Walk(toy.RELEASE, made)


def _identity(path: Path) -> Identity:
    return Identity(scheme="ssh", key=ssh.public_key(path.with_name(f"{path.name}.pub")))


def unsealed(files: Files) -> Files:
    """Return the files without what a seal adds."""
    added = {sealing.GUIDE, sealing.SEAL, sealing.SUMS, *sealing.signature_names()}
    return {path: data for path, data in files.items() if path not in added}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def opened(files: Files) -> dict[str, Any]:
    """Return record 0."""
    found: dict[str, Any] = json.loads(files[sealing.LEDGER].split(b"\n")[0])["entry"]
    return found


def looked_at(files: Files, policy: str, root: bytes) -> Found:
    """Verify files as somebody who has policy and trust root from elsewhere."""
    return verify(Pack(files), policy_sha256=policy, trust_root=root)


def codes(found: Found) -> dict[str, str]:
    """Return what is not verified: code by property."""
    return {one.name: one.code for one in found.lines if one.outcome != "verified"}


def chained(lines: list[dict[str, Any]]) -> Files:
    """Return a ledger of records, numbered and bound anew, with its head."""
    head, made = "0" * 64, []
    for number, line in enumerate(lines):
        data = canonical(line | {"number": number, "previous": head})
        head = sha256(data)
        made.append(data + b"\n")
    head_file = f"{len(lines) - 1} {head}\n".encode()
    return {sealing.LEDGER: b"".join(made), sealing.HEAD: head_file}


Line = dict[str, Any]
Change = Callable[[list[Line]], None]


@dataclass
class Made:
    """A minimal record, who made it, and what a stranger trusts."""

    maker: Maker
    files: Files
    policy: str
    root: bytes
    steps: dict[str, Any]

    @contextmanager
    def toy(self) -> Iterator[None]:
        """Put its steps in the place of the real ones for a while."""
        render._above.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: None)
            patch.setattr(relkit.step, "STEPS", self.steps)
            yield
        render._above.cache_clear()

    def looked_at(self, files: Files | None = None) -> Found:
        """Verify the record, or files in its place."""
        return looked_at(self.files if files is None else files, self.policy, self.root)

    def edited(self, change: Change) -> Files:
        """Return the record as its release manager alone can make it after an edit of the ledger.

        Everything that follows from the ledger is made anew, sealed and signed.
        """
        lines = [json.loads(line) for line in self.files[sealing.LEDGER].splitlines()]
        change(lines)
        files = {sealing.ROOT: self.root} | chained(lines)
        return self.maker.seal(files | self.maker.derived(files))


def two_steps() -> dict[str, Any]:
    """Return the steps of the smallest release with a gate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relkit.step, "STEPS", {})
        toy.declare()
        return {name: relkit.step.STEPS[name] for name in ("look", "hang")}


@contextmanager
def made_in(folder: Path) -> Iterator[Made]:
    """Make a minimal record; the Sigstore instance signs on for as long."""
    with LoopbackSigstore(folder / "sigstore") as instance:
        maker = Maker(folder, instance)
        made = Made(maker, {}, "", maker.root, two_steps())
        with made.toy():
            made.files = maker.seal(maker.files(maker.run(folder / "run")))
        made.policy = opened(made.files)["policy_digest"]
        yield made
