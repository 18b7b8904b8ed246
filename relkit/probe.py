"""What a question to a system shows, the day before a release (`relkit.doctor`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Seen:
    """What was seen. What refuses or fails is raised instead, as a `ReleaseError`.

    `unsure` is empty, or what a person does to find out what the question could not settle.
    `until` is when what signs in or signs is no good any more (UTC), if that was said.
    """

    found: str
    unsure: str = ""
    until: datetime | None = None


Probe = Callable[[], Seen]
