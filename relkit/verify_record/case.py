"""What the looks at the properties of one record share."""

from __future__ import annotations

from dataclasses import dataclass, field

from relkit.inputs import this_relkit
from relkit.verify_record.reading import Pack
from relkit.verify_record.trust import Trust
from relkit.verify_record.verdict import cannot, missing, refuse
from relkit.verify_record.walk import Walk


@dataclass
class Case:
    """A record being verified; `walked` is its ledger, once that was read."""

    pack: Pack
    trust: Trust
    walked: Walk | None = None
    waivers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def walk(self) -> Walk:
        """The ledger; raises the judgment that nothing can be said without it."""
        if self.walked is None:
            raise cannot("LEDGER_UNREAD", "the ledger cannot be read")
        return self.walked

    def bytes(self, path: str) -> bytes:
        """Return a file of the record; raises the judgment that it is not there."""
        if path not in self.pack.files:
            raise missing("FILE_MISSING", f"{path} is not in the record")
        return self.pack.files[path]

    def require_policy(self) -> None:
        """Raise the judgment that nobody has said which policy holds."""
        if self.trust.policy_sha256 is None:
            why = "good by the record's own policy, and nobody has said which policy to trust"
            raise cannot("POLICY_NOT_GIVEN", why)

    def require_no_faults(self, subject: str) -> None:
        """Raise the first fault of the ledger that belongs to a property."""
        faults = [one for one in self.walk.faults if one.subject == subject]
        if faults:
            more = f" (and {len(faults) - 1} more)" if faults[1:] else ""
            raise refuse(faults[0].code, faults[0].text + more)

    @property
    def same_relkit(self) -> bool:
        """Whether what is here is what made the record, as far as versions tell."""
        return self.walk.same_recipe and self.walk.inputs.relkit == this_relkit()

    def require_same_relkit(self) -> None:
        """Raise the judgment that another relkit made this, and only that one can repeat it."""
        if not self.same_relkit:
            made, here = self.walk.inputs.relkit, this_relkit()
            recipe = "" if self.walk.same_recipe else ", whose steps are others"
            raise cannot("RELKIT_OTHER", f"made with relkit {made}, this is {here}{recipe}")
