"""What relkit reads of Azure's answers: a few fields of each, the rest is ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Id = Annotated[int, Field(ge=1, le=2**31 - 1)]
Uuid = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
RunState = Literal["unknown", "inProgress", "canceling", "completed"]
RunResult = Literal["unknown", "succeeded", "failed", "canceled"]
BuildStatus = Literal[
    "none", "inProgress", "completed", "cancelling", "postponed", "notStarted", "all"
]
Result = Literal["none", "succeeded", "partiallySucceeded", "failed", "canceled"]
RecordState = Literal["pending", "inProgress", "completed"]
RecordResult = Literal[
    "succeeded", "succeededWithIssues", "failed", "canceled", "skipped", "abandoned"
]


class Model(BaseModel):
    """A part of an answer, by the service's names."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, strict=False)


class Ran(Model):
    """A run as pipelines show it."""

    id: Id
    state: RunState
    result: RunResult | None = None


class Definition(Model):
    """The pipeline of a build."""

    id: Id


class Plan(Model):
    """How a run is carried out; its timeline has the same id."""

    plan_id: Uuid | None = None


class Made(Model):
    """A run as builds show it, with the parameters it ran with."""

    id: Id
    status: BuildStatus
    result: Result | None = None
    queue_time: AwareDatetime | None = None
    definition: Definition
    orchestration_plan: Plan | None = None
    template_parameters: dict[str, str] | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters; none where the service does not tell them."""
        return self.template_parameters or {}

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled, or is about to be."""
        return self.status == "cancelling" or self.result == "canceled"

    def queued_at_least(self, since: datetime) -> bool:
        """Tell whether it was queued then or later; one without a time may have been."""
        return self.queue_time is None or self.queue_time >= since


class Builds(Model):
    """A list of builds."""

    value: list[Made]


class Preview(Model):
    """What a trial gives: the whole description of the run it would be."""

    final_yaml: str = ""


class SignedUrl(Model):
    """An address that needs no credentials, for a while."""

    url: str


class Signed(Model):
    """An artifact as pipelines show it."""

    name: str
    signed_content: SignedUrl | None = None


class Resource(Model):
    """Where an artifact lies."""

    download_url: str | None = None


class Artifact(Model):
    """An artifact as builds show it."""

    name: str
    resource: Resource | None = None


class Listed(Model):
    """The artifacts of a build."""

    value: list[Artifact]


class Issue(Model):
    """What a record complains of."""

    type: Literal["error", "warning"]
    message: str = ""


class Record(Model):
    """A stage, job, task or approval of a run."""

    type: str = ""
    name: str = ""
    order: int | None = None
    state: RecordState
    result: RecordResult | None = None
    issues: list[Issue] = []


class Timeline(Model):
    """All records of a run."""

    records: list[Record] = []
