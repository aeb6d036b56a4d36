"""Each kind of event has its effect: seen in what was recorded, not in what the scenario says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from miniecs.scenarios.acts import ACTS
from miniecs.scenarios.recording import Recording, TaskRecord
from miniecs.scenarios.scenario_file import KINDS
from miniecs.scenarios.summary import whole

from .playing import BASE, at, play, texts

See = Callable[[Recording], bool]

TINY = "  - {family: tiny, containerDefinitions: [{name: tiny, image: tiny, memory: 6}]}\n"


def ran(task: TaskRecord) -> float:
    """When it began to run; longer than any scenario where it never did."""
    return task.running_at if task.running_at is not None else 1e9


CASES: dict[str, tuple[str, See]] = {
    "runTask": (
        "{at: 1m, runTask: {taskDefinition: batch, count: 2, lifetime: 1m}}",
        lambda seen: at(seen, 90).loose_running == 2 and at(seen, 150).loose_running == 0,
    ),
    "arrivals": (
        "{at: 1m, arrivals: {every: 30s, for: 1m, runTask: {taskDefinition: batch}}}",
        lambda seen: [round(t.created_at) for t in seen.tasks if t.owner == "batch"] == [60, 90, 120],
    ),
    "createService": (
        "{at: 1m, createService: {serviceName: more, taskDefinition: web, desiredCount: 2}}",
        lambda seen: "more" not in at(seen, 59).services and at(seen, 70).services["more"].running == 2,
    ),
    "updateService": (
        "{at: 1m, updateService: {service: web, desiredCount: 5}}",
        lambda seen: at(seen, 59).services["web"].desired == 3 and at(seen, 70).services["web"].running == 5,
    ),
    "deleteService": (
        "{at: 1m, deleteService: {service: web, force: true}}",
        lambda seen: "web" in at(seen, 59).services and "web" not in at(seen, 70).services,
    ),
    "scale": (
        "{at: 1m, scale: {service: web, steps: [4, 6, 2], every: 1m}}",
        lambda seen: [at(seen, s).services["web"].running for s in (90, 150, 210)] == [4, 6, 2],
    ),
    "deploy": (
        "{at: 1m, deploy: {service: web}}",
        lambda seen: [(d.definition, d.state) for d in seen.deployments]
        == [("web:1", "COMPLETED"), ("web:2", "COMPLETED")],
    ),
    "loseHost": (
        "{at: 1m, loseHost: {host: host-2, noticedAfter: 30s}}",
        lambda seen: [at(seen, s).services["web"].working for s in (59, 61, 89, 100)] == [3, 2, 2, 3]
        and at(seen, 89).services["web"].running == 3,
    ),
    "loseZone": (
        "{at: 1m, loseZone: b}",
        lambda seen: "us-east-1b" in at(seen, 59).zones and "us-east-1b" not in at(seen, 61).zones,
    ),
    "restore": (
        "{at: 1m, loseZone: b}\n{at: 3m, restore: {zone: b}}",
        lambda seen: "us-east-1b" not in at(seen, 179).zones and at(seen, 185).zones["us-east-1b"].hosts == 1,
    ),
    "drain": (
        "{at: 1m, drain: host-1}",
        lambda seen: [at(seen, s).zones["us-east-1a"].tasks for s in (59, 180)] == [1, 0],
    ),
    "activate": (
        "{at: 1m, drain: {zone: a}}\n{at: 3m, activate: host-1}\n"
        "{at: 4m, scale: {service: web, desiredCount: 4}}",
        lambda seen: [at(seen, s).zones["us-east-1a"].tasks for s in (230, 260)] == [0, 1],
    ),
    "addHosts": (
        "{at: 1m, addHosts: {type: m5.xlarge, count: 2, zone: d}}",
        lambda seen: at(seen, 70).zones["us-east-1d"].hosts == 2 and whole(at(seen, 70)).cpu == 14336,
    ),
    "stopTask": (
        "{at: 1m, stopTask: {service: web, count: 2}}",
        lambda seen: [t.stop_code for t in seen.tasks if t.stopped_at] == ["UserInitiated"] * 2,
    ),
    "crashTask": (
        "{at: 1m, crashTask: {service: web, exitCode: 9}}",
        lambda seen: [(t.stop_code, t.exit_code) for t in seen.tasks if t.stopped_at]
        == [("EssentialContainerExited", 9)],
    ),
    "failHealthCheck": (
        "{at: 0s, createService: {serviceName: checked, taskDefinition: checked, desiredCount: 1}}\n"
        "{at: 2m, failHealthCheck: {service: checked}}",
        lambda seen: [t.owner for t in seen.tasks if t.stopped_at] == ["checked"],
    ),
    "cutLink": (
        "{at: 1m, cutLink: {host: host-1, for: 2m}}\n{at: 65s, scale: {service: web, desiredCount: 6}}",
        # What was placed behind the cut runs when the link is back.
        lambda seen: [ran(t) > 175 for t in seen.tasks[3:]].count(True) == 1
        and all(t.host == "host-1" for t in seen.tasks if ran(t) > 175),
    ),
    "slowPulls": (
        "{at: 1m, slowPulls: {by: 20s, for: 2m}}\n{at: 2m, deploy: {service: web}}",
        lambda seen: min(ran(t) - t.created_at for t in seen.tasks if t.definition == "web:2") > 20,
    ),
    "updateCapacityProvider": (
        "{at: 1m, updateCapacityProvider: {name: fleet, autoScalingGroupProvider:"
        " {managedScaling: {status: ENABLED, targetCapacity: 50}}}}",
        lambda seen: [at(seen, s).providers["fleet"].hosts for s in (59, 120)] == [1, 2],
    ),
    "killControlPlane": (
        "{at: 1m, killControlPlane: 30s}\n{at: 65s, scale: {service: web, desiredCount: 5}}",
        lambda seen: at(seen, 85).services["web"].desired == 3 and at(seen, 130).services["web"].running == 5,
    ),
}


FLEET = """
capacityProviders:
  - {name: fleet, type: m5.large, minSize: 1, maxSize: 4, launchTime: 10s,
     managedScaling: {instanceWarmupPeriod: 5}}
"""


def base_of(kind: str) -> str:
    return BASE + FLEET if kind == "updateCapacityProvider" else BASE


def test_there_is_a_case_for_every_kind_of_event() -> None:
    assert set(CASES) == set(KINDS)
    assert set(ACTS) == set(KINDS) - {"arrivals"} | {"arrival"}


@pytest.mark.parametrize("kind", CASES)
def test_an_event_has_its_effect(kind: str, tmp_path: Path) -> None:
    events, is_seen = CASES[kind]
    recording = play(tmp_path, events, base_of(kind))
    assert is_seen(recording), texts(recording)


@pytest.mark.parametrize("kind", CASES)
def test_and_without_it_the_effect_is_not_there(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, is_seen = CASES[kind]
    name = "arrival" if kind == "arrivals" else kind
    monkeypatch.setitem(ACTS, name, lambda stage, step: None)
    recording = play(tmp_path, events, base_of(kind))
    try:
        assert not is_seen(recording)
    except (KeyError, ValueError):
        pass  # what it looks for is not even there


@pytest.mark.parametrize(
    ("revision", "states"),
    [("crashing", {"IN_PROGRESS"}), ("failing", {"IN_PROGRESS"}), ("healthy", {"COMPLETED"})],
)
def test_a_bad_revision_does_not_complete(revision: str, states: set[str], tmp_path: Path) -> None:
    recording = play(tmp_path, f"{{at: 1m, deploy: {{service: web, revision: {revision}}}}}")
    assert {each.state for each in recording.deployments if each.definition == "web:2"} == states
    ran = [task.running_at is not None for task in recording.tasks if task.definition == "web:2"]
    assert ran and all(ran) is (revision != "failing")


def test_an_unhealthy_revision_trips_the_circuit_breaker(tmp_path: Path) -> None:
    breaker = "deploymentConfiguration: {deploymentCircuitBreaker: {enable: true, rollback: true}}"
    base = BASE.replace("web, desiredCount: 3", f"checked, desiredCount: 3, {breaker}")
    recording = play(tmp_path, "{at: 1m, deploy: {service: web, revision: unhealthy}}", base)
    [bad] = [each for each in recording.deployments if each.definition == "checked:2"]
    assert (bad.state, bad.failed_tasks) == ("FAILED", 3)


def test_words_of_simulated_containers_can_be_deployed(tmp_path: Path) -> None:
    recording = play(tmp_path, "{at: 1m, deploy: {service: web, simulate: oom-after-30}}")
    codes = {task.exit_code for task in recording.tasks if task.definition == "web:2" and task.stopped_at}
    assert codes == {137}


def test_a_lost_host_can_be_replaced(tmp_path: Path) -> None:
    recording = play(tmp_path, "{at: 1m, loseHost: {host: host-2, noticedAfter: 30s, replace: true}}")
    assert "us-east-1b" not in at(recording, 80).zones
    assert at(recording, 100).zones["us-east-1b"].hosts == 1


def test_who_was_refused_asks_again_and_has_waited_since_the_first_time(tmp_path: Path) -> None:
    recording = play(
        tmp_path,
        "{at: 1m, runTask: {taskDefinition: batch, count: 9, lifetime: 1m}}\n"
        "{at: 80s, arrivals: {every: 10m, retryEvery: 10s, runTask: {taskDefinition: batch, count: 2}}}",
    )
    late = [task for task in recording.tasks if task.owner == "batch"][9:]
    assert [(task.asked_at, task.created_at > 115) for task in late] == [(80.0, True)] * 2
    assert recording.refusals == {"RESOURCE:CPU": recording.refused}
    assert recording.refused >= 6
    assert at(recording, 100).waiting == 2
    assert recording.samples[-1].waiting == 0


def test_a_trace_says_when_what_and_how_long(tmp_path: Path) -> None:
    (tmp_path / "load.csv").write_text("at,taskDefinition,count,lifetime\n1m,batch,2,30s\n90,web,,\n")
    recording = play(tmp_path, "{at: 1m, arrivals: {trace: load.csv, runTask: {lifetime: 10s}}}")
    found = [(t.definition, round(t.created_at), round((t.stopped_at or 0) - (t.running_at or 0)))
             for t in recording.tasks if not t.of_service]  # fmt: skip
    assert found == [("batch:1", 120, 30), ("batch:1", 120, 30), ("web:1", 150, 10)]


def test_poisson_arrivals_have_their_mean_and_exponential_lifetimes_theirs(tmp_path: Path) -> None:
    recording = play(
        tmp_path,
        "{at: 0s, arrivals: {poisson: 2s, runTask: {taskDefinition: tiny, lifetime: {exponential: 5s}}}}",
        BASE.replace("  - family: checked", TINY + "  - family: checked"),
    )
    tiny = [task for task in recording.tasks if task.owner == "tiny"]
    lived = [t.stopped_at - ran(t) for t in tiny if t.stopped_at is not None]
    assert 140 < len(tiny) < 220
    assert 4 < sum(lived) / len(lived) < 6.5


def test_with_no_host_left_callers_are_refused_and_served_when_there_is_one(tmp_path: Path) -> None:
    recording = play(
        tmp_path,
        "{at: 1m, loseZone: a}\n{at: 1m, loseZone: b}\n{at: 1m, loseZone: c}\n"
        "{at: 150s, arrivals: {every: 10m, retryEvery: 10s, runTask: {taskDefinition: batch}}}\n"
        "{at: 3m, restore: {zone: b}}",
    )
    assert recording.refusals == {"No Container Instances were found in your cluster": 4}
    assert [task.host for task in recording.tasks if task.owner == "batch"] == ["host-2"]
    assert recording.samples[-1].services["web"].working == 3


def test_a_host_that_has_just_been_added_can_be_drained(tmp_path: Path) -> None:
    recording = play(
        tmp_path,
        "{at: 1m, addHosts: {id: new, type: m5.large, zone: d}}\n{at: 1m, drain: new}\n"
        "{at: 2m, scale: {service: web, desiredCount: 20}}",
    )
    assert recording.samples[-1].services["web"].running == 20
    assert recording.samples[-1].zones["us-east-1d"].tasks == 0


def test_ecs_can_be_away_twice_at_once(tmp_path: Path) -> None:
    recording = play(tmp_path, "{at: 1m, killControlPlane: 30s}\n{at: 70s, killControlPlane: 30s}")
    assert [round(each.at) for each in recording.happenings if "away" in each.text] == [60, 90]


def test_many_hosts_are_drained_ten_at_a_time(tmp_path: Path) -> None:
    base = BASE.replace("count: 3", "count: 36")
    recording = play(tmp_path, "{at: 1m, drain: {zone: a}}", base)
    assert "drain host-1, host-4, host-7 and 9 more" in texts(recording)


def test_tasks_wait_for_their_provider_s_hosts_which_have_its_name(tmp_path: Path) -> None:
    base = BASE.replace("desiredCount: 3, placement", "desiredCount: 12, placement") + FLEET
    recording = play(tmp_path, "{at: 3m, scale: {service: web, desiredCount: 16}}", base)
    assert {task.host for task in recording.tasks} == {"fleet-1", "fleet-2"}, "by the default strategy"
    assert at(recording, 8).providers["fleet"].waiting == 4
    assert at(recording, 8).providers["fleet"].desired == 2
    waits = [round(ran(task) - task.created_at) for task in recording.tasks[:12]]
    assert max(sorted(waits)[:8]) <= 2
    assert 15 <= max(waits) <= 20, "five seconds until the group grows, ten until its machine is there"


def test_a_lost_zone_takes_hosts_of_groups_which_are_replaced(tmp_path: Path) -> None:
    fleet = FLEET.replace("minSize: 1", "minSize: 2, zones: [a, d]")
    recording = play(tmp_path, "{at: 1m, loseZone: {zone: d, noticedAfter: 30s}}", BASE + fleet)
    assert ["us-east-1d" in at(recording, s).zones for s in (59, 80, 120)] == [True, False, True]
    assert [at(recording, s).providers["fleet"].hosts for s in (59, 80, 120)] == [2, 1, 2]


def test_a_service_by_launch_type_uses_any_host(tmp_path: Path) -> None:
    base = BASE.replace("desiredCount: 3,", "desiredCount: 3, launchType: EC2,") + FLEET
    recording = play(tmp_path, "", base)
    assert len({task.host for task in recording.tasks} - {"fleet-1"}) >= 2


BALANCED = """
duration: 12m
hosts: [{id: host, count: 3, type: m5.large, zones: [a, b, c]}]
targetGroups: [{name: front, healthCheckInterval: 10s, healthyThreshold: 3, deregistrationDelay: 20s}]
taskDefinitions: [{family: web, cpu: 256, memory: 512, containerPort: 80}]
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: 3
    targetGroup: front
    deploymentConfiguration: {deploymentCircuitBreaker: {enable: true, rollback: true}}
"""


def test_a_target_group_s_health_gates_a_deployment(tmp_path: Path) -> None:
    recording = play(tmp_path, "{at: 2m, deploy: {service: web}}", BALANCED)
    # A new target is healthy by its first check, and not after forty seconds; old ones drain for twenty.
    first, second = recording.deployments
    assert (first.state, second.state) == ("COMPLETED", "COMPLETED")
    stopped = [t.stopped_at - 120 for t in recording.tasks if t.definition == "web:1" and t.stopped_at]
    assert len(stopped) == 3
    assert 20 < min(stopped) < 35


def test_targets_that_answer_503_fail_a_deployment(tmp_path: Path) -> None:
    recording = play(tmp_path, "{at: 2m, deploy: {service: web, revision: unhealthy}}", BALANCED)
    [bad] = [each for each in recording.deployments if each.definition == "web:2"]
    assert bad.state == "FAILED"
    why = "due to (reason Health checks failed with these codes: [503])"
    assert any(why in text for text in texts(recording, "service"))
    assert at(recording, 700).services["web"].healthy == 3
