"""What a release manager can be refused, and what to do then.

Every error carries a stable `code` (for machines) and a `remedy` (for people). A subclass stands
for a decision the reader can make, not for the place where it was raised; its `exit_status` is
what the command line ends with.
"""

from __future__ import annotations

from typing import ClassVar


class ReleaseError(Exception):
    """A release cannot go on.

    `code` is stable and upper case, such as ``BAD_VERSION``; `remedy` is one sentence that says
    what to do next.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, code: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.code}: {super().__str__()}"

    def _render_traceback_(self) -> list[str]:
        """Show two lines instead of a traceback; IPython calls this."""
        return [f"{type(self).__name__}: {self}", f"What to do: {self.remedy}"]


class UsageError(ReleaseError):
    """What was asked for is not a release, a repository, a world or a step."""

    exit_status = 2


class CheckError(ReleaseError):
    """A condition of the step does not hold, or cannot be seen to hold."""


class GateError(ReleaseError):
    """The gate was rejected, or its approval is for another plan."""


class WaitingError(ReleaseError):
    """Nothing is wrong: a person or a build is awaited. Run again later."""

    exit_status = 75


class OrderError(ReleaseError):
    """A step before this one is not complete."""


class VerificationError(ReleaseError):
    """An action ran, but reading back does not show its result."""


class RecordError(ReleaseError):
    """The record was altered, cut, belongs to something else, or cannot be written."""


class WorldError(ReleaseError):
    """An outside system refused, failed, or answered what cannot be understood."""
