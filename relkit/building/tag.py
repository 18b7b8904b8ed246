"""A tag as a clone has it, for whoever looks at it without trusting the clone."""

from __future__ import annotations

from dataclasses import dataclass

from relkit.building.objects import Objects


@dataclass(frozen=True)
class Tag:
    """A tag as the clone has it; `object` is the commit itself where it is not annotated.

    `tagger` is what the tag object says of itself: nobody has checked its signature.
    """

    name: str
    object: str
    commit: str
    tagger: str
    signed: bool

    @property
    def annotated(self) -> bool:
        """Whether the tag is an object of its own."""
        return self.object != self.commit


def read_tag(objects: Objects, name: str) -> Tag:
    """Return a tag of the clone; the errors are those of `Objects.tagged`."""
    commit = objects.tagged(name)
    found, text = objects.tag_object(name)
    lines = text.partition("\n\n")[0].splitlines()
    said = next((line for line in lines if line.startswith("tagger ")), "")
    who = said.removeprefix("tagger ").rpartition(" ")[0].rpartition(" ")[0]
    shown = "".join(char if char.isprintable() else "?" for char in who)[:200]
    return Tag(name, found, commit, shown, "\n-----BEGIN " in text)
