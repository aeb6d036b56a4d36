"""What can happen in a scenario: for each kind the fields that it takes, and no others.

An event has a moment and exactly one of these. ``runTask`` and the operations on services take what the
ECS operation takes, in its own words; they are held against its model elsewhere.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from miniecs.scenarios.durations import Duration, Period


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, strict=True)


def _short_for(name: str) -> BeforeValidator:
    """``loseZone: us-east-1a`` is short for ``loseZone: {zone: us-east-1a}``."""
    return BeforeValidator(lambda value: value if isinstance(value, dict) else {name: value})


Count = Annotated[int, Field(ge=1, le=10_000)]
Revision = Literal["healthy", "crashing", "failing", "unhealthy"]


class Lifetime(Strict):
    """How long a task runs before it ends by itself, with exit code 0."""

    fixed: Period | None = None
    exponential: Period | None = None  # the mean

    @model_validator(mode="after")
    def _one(self) -> Lifetime:
        if (self.fixed is None) == (self.exponential is None):
            raise ValueError("give one of fixed and exponential")
        return self


Lived = Annotated[Lifetime, _short_for("fixed")]


class RunTask(Strict):
    """RunTask with its own parameters. A task without a lifetime runs until it is stopped."""

    params: dict[str, Any] = Field(default_factory=dict)
    lifetime: Lived | None = None


def _apart(value: Any) -> Any:
    """What is ours stands beside what is ECS's."""
    if not isinstance(value, dict):
        raise ValueError("must hold RunTask's parameters, such as taskDefinition")
    ours = {name: value[name] for name in ("lifetime",) if name in value}
    return {"params": {name: item for name, item in value.items() if name not in ours}, **ours}


Run = Annotated[RunTask, BeforeValidator(_apart)]


class Rate(Strict):
    """``poisson: {every: 10s}``: on average; the times between are exponential."""

    every: Period


class Arrivals(Strict):
    """RunTask again and again: at equal distances, at random, or at the times of a file.

    retry_every: who was refused asks again so often until there is room; else a refusal is the end of it.
    """

    run_task: Run = RunTask()
    every: Period | None = None
    poisson: Annotated[Rate, _short_for("every")] | None = None
    trace: str | None = None
    lasting: Period | None = Field(default=None, alias="for")
    retry_every: Period | None = None

    @model_validator(mode="after")
    def _one(self) -> Arrivals:
        if [self.every, self.poisson, self.trace].count(None) != 2:
            raise ValueError("give one of every, poisson and trace")
        if self.trace is not None and self.lasting is not None:
            raise ValueError("the trace says how long: leave out `for`")
        return self


class Scale(Strict):
    """UpdateService with a new desiredCount, or with several in turn, ``every`` so long."""

    service: str
    desired_count: int | None = Field(default=None, ge=0)
    steps: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list)
    every: Period | None = None

    @model_validator(mode="after")
    def _one(self) -> Scale:
        if (self.desired_count is None) == (not self.steps):
            raise ValueError("give one of desiredCount and steps")
        if bool(self.steps) != (self.every is not None):
            raise ValueError("steps and every belong together")
        return self


class Deploy(Strict):
    """A new revision of the service's task definition, and UpdateService with it.

    crashing: it runs for five seconds at a time. failing: it never runs. unhealthy: its check never succeeds.
    simulate: words for what its containers do, as in MINIECS_SIMULATE.
    """

    service: str
    revision: Revision = "healthy"
    simulate: str = ""

    @model_validator(mode="after")
    def _one(self) -> Deploy:
        if self.simulate and "revision" in self.model_fields_set:
            raise ValueError("give one of revision and simulate")
        return self


class LoseHost(Strict):
    """The machine is gone. ECS learns of it later, as after an EC2 termination."""

    host: str
    noticed_after: Duration = 60.0
    replace: bool = False


class LoseZone(Strict):
    zone: str
    noticed_after: Duration = 60.0
    replace: bool = False


ALostHost = Annotated[LoseHost, _short_for("host")]
ALostZone = Annotated[LoseZone, _short_for("zone")]


class Hosts(Strict):
    """Some hosts by name, or all of a zone."""

    host: str | None = None
    hosts: list[str] = Field(default_factory=list)
    zone: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Hosts:
        if [self.host, self.hosts or None, self.zone].count(None) != 2:
            raise ValueError("give one of host, hosts and zone")
        return self


SomeHosts = Annotated[Hosts, _short_for("host")]


class SomeTasks(Strict):
    """Running tasks of a service or of a family, the oldest first."""

    service: str | None = None
    family: str | None = None
    count: Count = 1

    @model_validator(mode="after")
    def _of_one(self) -> SomeTasks:
        if (self.service is None) == (self.family is None):
            raise ValueError("give one of service and family")
        return self


class CrashTask(SomeTasks):
    """Their first container ends by itself."""

    exit_code: int = Field(default=1, ge=0, le=255)


class CutLink(Strict):
    """Nothing gets through between a host's agent and ECS for so long."""

    host: str
    lasting: Period = Field(alias="for")


class SlowPulls(Strict):
    """Every image pull takes so much longer, on one host or on all."""

    by: Period
    lasting: Period = Field(alias="for")
    host: str | None = None


class KillControlPlane(Strict):
    """ECS itself is away for so long; containers run on."""

    lasting: Period = Field(alias="for")


AKill = Annotated[KillControlPlane, _short_for("for")]
