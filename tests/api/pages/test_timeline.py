"""The timeline page over a store that the operations and the loops' own writers wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miniecs.apply import write_service, write_task
from miniecs.control.health import ProbeResult
from miniecs.control.lives import STATES
from miniecs.control.registration import registered
from miniecs.model.event import Event, EventKind
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.store.outbox import OTHERS
from miniecs_api.links import report_probes

from .conftest import Site

INSTANCE = "i-12345678"
NONE = dict.fromkeys(STATES, 0)


def make(site: Site, **more: Any) -> Service:
    site.aws.ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=3, **more)
    (service,) = site.server.store.all(Service)
    return service


def run_one(site: Site, service: Service) -> Task:
    """A task of the service that has just been started, with its events."""
    arn = site.aws.ecs("RunTask", taskDefinition="web")["tasks"][0]["taskArn"]
    return change(site, arn, service_arn=service.arn, deployment_id=service.primary.id, version=2)


def change(site: Site, arn: str, **fields: Any) -> Task:
    with site.server.store.transaction() as tx:
        before = tx.get(Task, arn)
        assert before is not None
        return write_task(tx, before, replace(before, **fields), now=site.aws.clock.time)


def last(shown: dict[str, Any]) -> dict[str, int]:
    (deployment,) = shown["deployments"]
    return {state: values[-1] for state, values in deployment["tasks"].items()}


def test_tasks_through_their_states(site: Site) -> None:
    service = make(site)
    begun = site.aws.clock.time
    task = run_one(site, service)
    site.aws.clock.time += 5
    change(site, task.arn, last_status="RUNNING", started_at=site.aws.clock.time)
    site.aws.clock.time += 1
    shown = site.get("deployments/timeline", service="web", cluster="default")
    assert (shown["service"], shown["cluster"], shown["timeScale"]) == ("web", "default", 2.0)
    assert (shown["desired"], shown["floor"], shown["ceiling"]) == (3, 3, 6)
    assert (shown["knownSince"], shown["begin"]) == (begun, begun)
    assert shown["times"] == [0.0, 5.0, 6.0]
    (deployment,) = shown["deployments"]
    assert (deployment["id"], deployment["definition"]) == (service.primary.id, "web:1")
    assert (deployment["rolloutState"], deployment["healthBy"]) == ("IN_PROGRESS", "age")
    assert deployment["tasks"]["starting"] == [1, 0, 0]
    assert deployment["tasks"]["settling"] == [0, 1, 1]
    site.aws.clock.time += 60
    assert last(site.get("deployments/timeline", service="web")) == NONE | {"healthy": 1}
    change(site, task.arn, desired_status="STOPPED", stopping_at=site.aws.clock.time)
    assert last(site.get("deployments/timeline", service="web")) == NONE | {"stopping": 1}
    change(site, task.arn, last_status="STOPPED", stopped_at=site.aws.clock.time)
    assert last(site.get("deployments/timeline", service="web")) == NONE


def test_what_happened_to_the_deployments(site: Site) -> None:
    service = make(site)
    site.aws.clock.time += 10
    done = replace(service.primary, rollout_state="COMPLETED", rollout_state_reason="done.")
    with site.server.store.transaction() as tx:
        write_service(tx, service, replace(service, deployments=(done,)), now=site.aws.clock.time)
        steady = Event(
            EventKind.SERVICE_ACTION, service.arn, site.aws.clock.time, name="SERVICE_STEADY_STATE"
        )
        tx.emit(steady)
    told = site.get("deployments/timeline", service="web")["happened"]
    assert [(each["at"], each["kind"], each["definition"]) for each in told] == [
        (0.0, "began", "web:1"),
        (10.0, "completed", "web:1"),
        (10.0, "steady", None),
    ]
    assert (told[1]["deployment"], told[1]["reason"]) == (service.primary.id, "done.")


def test_behind_a_target_group_a_task_is_healthy_when_its_target_is(site: Site) -> None:
    group = site.aws.elbv2("CreateTargetGroup", Name="pages", Protocol="HTTP", Port=80, VpcId="vpc-1")
    subnets = ["subnet-0a1", "subnet-0b2"]
    balancer = site.aws.elbv2("CreateLoadBalancer", Name="edge", Subnets=subnets)
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    site.aws.elbv2(
        "CreateListener", LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP", Port=80, DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )  # fmt: skip
    entry = {"targetGroupArn": arn, "containerName": "app", "containerPort": 80}
    service = make(site, loadBalancers=[entry])
    task = run_one(site, service)
    change(site, task.arn, last_status="RUNNING", started_at=site.aws.clock.time)
    store = site.server.store
    target = registered(arn, INSTANCE, 32768, in_use=True, now=site.aws.clock.time, task_arn=task.arn)
    with store.transaction() as tx:
        tx.put(target)
    site.aws.clock.time += 500
    shown = site.get("deployments/timeline", service="web")
    assert shown["deployments"][0]["healthBy"] == "targets"
    assert last(shown) == NONE | {"settling": 1}
    failed = ProbeResult(ok=False, code=503)
    passed = ProbeResult(ok=True, code=200)
    for result, state in ((passed, "healthy"), (failed, "healthy"), (failed, "unhealthy")):
        site.aws.clock.time += 10
        with store.transaction() as tx:
            report_probes(tx, [(target.key, result)], now=site.aws.clock.time)
        assert last(site.get("deployments/timeline", service="web")) == NONE | {state: 1}
    events = site.get("events", resource=task.arn)["events"]
    told = [each for each in events if each["kind"] == "Target Health"]
    assert [(each["text"], each["because"]) for each in told] == [
        ("target i-12345678:32768 in target group pages is healthy", None),
        (
            "target i-12345678:32768 in target group pages is unhealthy",
            "Health checks failed with these codes: [503]",
        ),
    ]
    site.aws.elbv2("DeregisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE, "Port": 32768}])
    assert last(site.get("deployments/timeline", service="web")) == NONE | {"settling": 1}


def test_since_when_it_is_known_where_the_store_has_dropped_events(site: Site) -> None:
    service = make(site)
    task = run_one(site, service)
    change(site, task.arn, last_status="RUNNING", started_at=site.aws.clock.time)
    created = site.aws.clock.time
    for n in range(3):
        site.aws.clock.time += 100
        with site.server.store.transaction() as tx:
            for _ in range(OTHERS // 2):
                tx.emit(Event(EventKind.TASK, f"arn:other/{n}", site.aws.clock.time))
    shown = site.get("deployments/timeline", service="web")
    assert created < shown["knownSince"] == shown["begin"]
    assert shown["happened"] == []
    assert last(shown) == NONE | {"healthy": 1}  # of which no event is left


def test_reading_changes_nothing_and_gives_the_same_twice(site: Site) -> None:
    run_one(site, make(site))
    before = site.server.store.seq
    assert site.get("deployments/timeline", service="web") == site.get("deployments/timeline", service="web")
    assert site.server.store.seq == before


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [({}, 400, "service: Field required."), ({"service": "nothing"}, 404, "nothing")],
)
def test_bad_questions(site: Site, asked: dict[str, str], status: int, message: str) -> None:
    answered, told = site.refused("GET", "deployments/timeline", params=asked)
    assert answered == status
    assert message in told
