"""One random run of releases of a service, each of which must end as its settings and its luck say it must.

Good and bad versions, with and without circuit breaker, alarms and early success; users stop releases, or
make the next one in their middle; the control plane dies at its next plan. The other scenarios see that
nothing is broken on the way; here is what the way must lead to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from miniecs.ids import Ids
from miniecs.model import arns
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment
from miniecs.sim.broken import broken
from miniecs.sim.faults import Faults
from miniecs.sim.kinds import GOOD_IMAGE
from miniecs.sim.outcome import Outcome, played
from miniecs.sim.world import World

RELEASES = 8  # in each run, after the first
LIMIT = 6000.0  # seconds until a release has ended
EXPECTED = "a release ends as its settings say"

_NEVER_START = ("sim/pull-fails", "sim/start-fails")
_NEVER_HEALTHY = "sim/never-healthy"
_HEALTH_CHECK = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 2}
_ALARM = {
    "AlarmName": "slow",
    "MetricName": "Latency",
    "Namespace": "Sim",
    "Statistic": "Average",
    "Period": 60,
    "EvaluationPeriods": 2,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
_THRESHOLDS = (
    {"type": "BOUNDED_PERCENT", "value": 50},
    {"type": "UNBOUNDED_PERCENT", "value": 100},
    {"type": "COUNT", "value": 4},
)
_EARLY = ("BLOCKING", "DEFERRED", None)
T = TypeVar("T")

_BOUNDS = ((100, 200), (50, 100), (0, 100), (50, 150))


def run(seed: int, with_history: bool = False) -> Outcome:
    """The run of this seed. A failed one always has its history."""
    choices = Ids(seed * 2 + 1)
    world = World(seed, hosts=6, types=("m5.2xlarge",))
    return played(seed, world, Run(world, choices).play, with_history)


@dataclass(frozen=True)
class Settings:
    """What a release's service is told to do with failures."""

    breaker: str  # off stop rollback
    alarm: str  # off stop rollback
    configuration: dict[str, Any]


class Run:
    """One service and its releases."""

    def __init__(self, world: World, choices: Ids) -> None:
        self._world = world
        self._choices = choices
        self._faults = Faults(world)
        self._desired = 2 + choices.number(5)

    def play(self) -> None:
        world = self._world
        world.run(5.0)
        world.call("cloudwatch", "PutMetricAlarm", **_ALARM)
        definition, settings = self._register(GOOD_IMAGE), self._settings()
        world.ecs(
            "CreateService",
            serviceName="shop",
            taskDefinition=definition,
            desiredCount=self._desired,
            availabilityZoneRebalancing="DISABLED",  # some of the bounds rule it out
            deploymentConfiguration=settings.configuration,
        )
        self._ends("SUCCESSFUL")
        for _ in range(RELEASES):
            self._one_of(
                (
                    self._good,
                    self._never_starts,
                    self._never_healthy,
                    self._alarmed,
                    self._alarmed_before,
                    self._stopped,
                    self._overtaken,
                    self._rollback_fails,
                )
            )()
            self._recover()
        assert world.invariants is not None
        world.run(400.0)
        world.invariants.check_at_rest()

    # Releases

    def _good(self) -> None:
        self._release(GOOD_IMAGE)
        self._ends("SUCCESSFUL")

    def _never_starts(self) -> None:
        settings = self._release(self._one_of(_NEVER_START))
        self._fails(settings)

    def _never_healthy(self) -> None:
        settings = self._release(_NEVER_HEALTHY, healthCheck=_HEALTH_CHECK)
        self._fails(settings)

    def _fails(self, settings: Settings) -> None:
        """A version that cannot work: what the breaker does, or else the user."""
        if settings.breaker == "off":
            self._world.run(600.0)
            self._soon(1)
            self._expect("IN_PROGRESS")
            self._stop("ROLLBACK")
        self._ends("STOPPED" if settings.breaker == "stop" else "ROLLBACK_SUCCESSFUL")

    def _alarmed(self) -> None:
        settings = self._release(GOOD_IMAGE)
        self._soon(15_000)
        self._set_alarm("ALARM")
        ends = {"off": "SUCCESSFUL", "stop": "STOPPED", "rollback": "ROLLBACK_SUCCESSFUL"}
        self._ends(ends[settings.alarm])

    def _alarmed_before(self) -> None:
        self._set_alarm("ALARM")
        self._release(GOOD_IMAGE)
        self._ends("SUCCESSFUL")

    def _stopped(self) -> None:
        self._release(GOOD_IMAGE)
        self._soon(15_000)
        how = self._one_of(("ROLLBACK", "ABORT"))
        self._stop(how)
        self._ends("ROLLBACK_SUCCESSFUL" if how == "ROLLBACK" else "STOPPED")

    def _overtaken(self) -> None:
        self._release(GOOD_IMAGE)
        first = self._newest()
        self._soon(15_000)
        self._release(GOOD_IMAGE)
        self._world.run(40.0)
        self._expect("STOPPED", self._world.store.get(ServiceDeployment, first.arn))
        self._ends("SUCCESSFUL")

    def _rollback_fails(self) -> None:
        """By the time that it begins nothing is left of the old version, and no pull succeeds any more."""
        breaker = {"enable": True, "rollback": True, "resetOnHealthyTask": True}
        configuration = {
            "minimumHealthyPercent": 0,
            "maximumPercent": 100,
            "deploymentCircuitBreaker": {**breaker, "thresholdConfiguration": _THRESHOLDS[0]},
            "alarms": {"alarmNames": ["slow"], "enable": False, "rollback": False},
            "earlySuccessCriteria": {"enable": False},
        }
        for host in self._world.hosts():
            self._faults.failed_pulls(host, lasting=LIMIT)
        self._update(self._register(GOOD_IMAGE), configuration)
        self._ends("ROLLBACK_FAILED")
        self._faults.heal()

    def _recover(self) -> None:
        """What failed is fixed, so that the next release begins from a good one."""
        self._set_alarm("OK")
        self._world.run_until(lambda: self._world.is_up, limit=200.0)
        if self._service().primary.rollout_state == "FAILED":
            self._release(GOOD_IMAGE)
            self._ends("SUCCESSFUL")

    # What releases are made of

    def _settings(self) -> Settings:
        breaker, alarm = (self._one_of(("off", "stop", "rollback")) for _ in range(2))
        low, high = self._one_of(_BOUNDS)
        cleanup = self._one_of(_EARLY)
        early: dict[str, Any] = {"enable": False}
        if cleanup is not None:
            early = {"enable": True, "healthyPercent": 100, "sourceServiceRevisionCleanup": cleanup}
            early["healthyPercent"] = max(low, 50 + 25 * self._choices.number(3))
        return Settings(
            breaker,
            alarm,
            {
                "minimumHealthyPercent": low,
                "maximumPercent": high,
                "deploymentCircuitBreaker": {
                    "enable": breaker != "off",
                    "rollback": breaker == "rollback",
                    "resetOnHealthyTask": self._choices.number(2) == 0,
                    "thresholdConfiguration": self._one_of(_THRESHOLDS),
                },
                "alarms": {"alarmNames": ["slow"], "enable": alarm != "off", "rollback": alarm == "rollback"},
                "earlySuccessCriteria": early,
            },
        )

    def _register(self, image: str, **container: Any) -> str:
        answer = self._world.ecs(
            "RegisterTaskDefinition",
            family="shop",
            containerDefinitions=[{"name": "main", "image": image, "memory": 64, **container}],
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def _release(self, image: str, **container: Any) -> Settings:
        settings = self._settings()
        self._update(self._register(image, **container), settings.configuration)
        return settings

    def _update(self, definition: str, configuration: dict[str, Any]) -> None:
        self._world.run_until(lambda: self._world.is_up, limit=200.0)
        self._world.ecs(
            "UpdateService", service="shop", taskDefinition=definition, deploymentConfiguration=configuration
        )
        if self._choices.number(3) == 0:
            self._faults.kill_control_plane(1.0 + self._choices.number(20), at_next_plan=True)

    def _stop(self, how: str) -> None:
        self._world.ecs("StopServiceDeployment", serviceDeploymentArn=self._newest().arn, stopType=how)

    def _set_alarm(self, state: str) -> None:
        self._world.run_until(lambda: self._world.is_up, limit=200.0)
        self._world.call("cloudwatch", "SetAlarmState", AlarmName="slow", StateValue=state, StateReason="sim")

    def _soon(self, milliseconds: int) -> None:
        """Some time, in which a good release cannot have ended: its tasks are too young."""
        self._world.run(self._choices.number(milliseconds) / 1000)
        self._world.spare_control_plane()
        self._world.run_until(lambda: self._world.is_up, limit=200.0)
        self._world.run(0.5)

    # What becomes of them

    def _ends(self, status: str) -> None:
        world = self._world
        end = world.now + LIMIT
        while self._newest().is_ongoing and world.now < end:
            world.run(5.0)
        self._expect(status)

    def _expect(self, status: str, release: ServiceDeployment | None = None) -> None:
        found = release or self._newest()
        if found.status != status:
            broken(EXPECTED, f"{found.arn} is {found.status} ({found.status_reason}), not {status}")

    def _newest(self) -> ServiceDeployment:
        found = self._world.store.find(ServiceDeployment, "service", self._service().arn)
        return max(found, key=lambda each: each.created_at)

    def _service(self) -> Service:
        service = self._world.store.get(Service, arns.service(self._world.scope, self._world.cluster, "shop"))
        assert service is not None
        return service

    def _one_of(self, among: tuple[T, ...]) -> T:
        return among[self._choices.number(len(among))]
