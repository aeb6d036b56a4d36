"""The pages over a store that the operations wrote, through the app and as functions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from miniecs import __version__
from miniecs.config import InstanceSpec
from miniecs.model import arns
from miniecs.model.event import Event, EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import NetworkBinding
from miniecs_api.agent_messages import PublishMetrics
from miniecs_api.hosts import HostHello

from .conftest import Site


def test_status_counts_by_cluster(site: Site) -> None:
    site.run_task(last_status="RUNNING")
    site.run_task(last_status="STOPPED", desired_status="STOPPED")
    site.aws.ecs("CreateCluster", clusterName="empty")
    site.aws.ecs("CreateService", serviceName="api", taskDefinition="web", desiredCount=2)
    scope = {"account": "000000000000", "region": "us-east-1"}
    assert site.get("status") == {
        "version": __version__,
        "runtime": "simulated",
        **scope,
        "timeScale": 2.0,
        "endpoint": "http://127.0.0.1:4566",
        "dataDir": "/data",
        "hosts": [],
        "clusters": [
            {
                "name": "default",
                "arn": arns.cluster(site.server.scope, "default"),
                **scope,
                "status": "ACTIVE",
                "instances": {"registered": 1, "connected": 1, "draining": 0},
                "capacityProviders": [],
                "services": [
                    {
                        "name": "api",
                        "arn": arns.service(site.server.scope, "default", "api"),
                        "status": "ACTIVE",
                        "desired": 2,
                        "running": 0,
                        "pending": 0,
                        "rolloutState": "IN_PROGRESS",
                        "steady": False,
                    }
                ],
                "tasks": {"RUNNING": 1, "STOPPED": 1},
            },
            {
                "name": "empty",
                "arn": arns.cluster(site.server.scope, "empty"),
                **scope,
                "status": "ACTIVE",
                "instances": {"registered": 0, "connected": 0, "draining": 0},
                "capacityProviders": [],
                "services": [],
                "tasks": {},
            },
        ],
        "proxy": False,
        "loadBalancers": [],
    }


def test_images_that_a_task_waits_for_are_told_of(site: Site) -> None:
    task = site.run_task(last_status="PENDING")
    (container,) = task.containers
    image = {"container": container.name, "image": "httpd:2.4", "status": "Downloading"}
    body = {"taskArn": task.arn, **image, "current": 34_400_000, "total": 58_000_000}
    site.server.pulls.received(site.instance, {"type": "miniecs.PullProgress", "message": body})
    text = "pulling httpd:2.4, 34 of 58 MB"
    told = [{**image, "current": 34_400_000, "total": 58_000_000, "text": text}]
    assert site.get("tasks")["tasks"][0]["pulling"] == told
    explained = site.get("explain", name=task.arn)
    assert explained["details"]["pulling"] == told
    assert f"Container {container.name}: {text}." in explained["lines"]
    site.change(task.arn, last_status="RUNNING")
    assert site.get("tasks")["tasks"][0]["pulling"] == []


def test_tasks_tell_all_of_each(site: Site) -> None:
    task = site.run_task()
    bindings = (
        NetworkBinding("0.0.0.0", "tcp", 80, 32768),
        NetworkBinding("::", "tcp", 80, 32768),  # as amazon-ecs-agent 1.48.1 reports it: the same port
        NetworkBinding("10.9.9.9", "udp", 53, 53),
        NetworkBinding("10.9.9.9", "tcp", None, None, "90-92", "32770-32772"),
    )
    container = replace(task.containers[0], network_bindings=bindings)
    created = site.aws.clock.time
    site.change(task.arn, last_status="RUNNING", containers=(container,), started_at=created + 1)
    site.aws.clock.time += 90
    (shown,) = site.get("tasks")["tasks"]
    assert shown == {
        "id": arns.name_of(task.arn),
        "arn": task.arn,
        "cluster": "default",
        "account": "000000000000",
        "region": "us-east-1",
        "service": None,
        "group": "family:web",
        "definition": "web:1",
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "health": "UNKNOWN",
        "zone": "us-east-1a",
        "instance": arns.name_of(site.instance),
        "capacityProvider": None,
        "addresses": ["http://10.0.0.1:32768", "udp://10.9.9.9:53", "tcp://10.9.9.9:32770-32772"],
        "createdAt": created,
        "startedAt": created + 1,
        "stoppedAt": None,
        "ageSeconds": 90.0,
        "stopCode": None,
        "stoppedReason": None,
        "reserved": {"cpu": 128, "memory": 128},
        "usage": None,
        "pulling": [],
    }


def test_a_task_shows_what_its_agent_measured(site: Site) -> None:
    task = site.run_task(last_status="RUNNING")
    reading = {
        "cpuStatsSet": {"sampleCount": 4, "sum": 40.0},
        "memoryStatsSet": {"sampleCount": 4, "sum": 50.0},
        "restartStatsSet": {"restartCount": 3},
    }
    published = {"taskMetrics": [{"taskArn": task.arn, "containerMetrics": [reading]}]}
    site.server.metrics.published(9.0, site.instance, PublishMetrics.model_validate(published))
    (shown,) = site.get("tasks")["tasks"]
    assert shown["usage"] == {"cpu": 204.8, "memory": 12.5, "restarts": 3, "at": 9.0}


def test_hosts_show_their_engines_and_what_became_of_their_machines(site: Site) -> None:
    server = site.server
    assert site.get("hosts") == {"hosts": []}
    registered, lost = server.machines.launch(
        "local", [InstanceSpec(type="t2.small"), InstanceSpec(type="t2.small")]
    )
    identity = json.dumps({"instanceId": registered.instance_id})
    resources = [{"name": "CPU", "integerValue": 1024}, {"name": "MEMORY", "integerValue": 2048}]
    arn = site.aws.ecs(
        "RegisterContainerInstance", instanceIdentityDocument=identity, totalResources=resources
    )["containerInstance"]["containerInstanceArn"]
    machine = {"cluster": "default", "type": "t2.small", "agentConnected": False, "up": False}
    machine |= {"failure": None}
    away: dict[str, Any] = {
        "id": "local",
        "name": "local",
        "local": True,
        "connected": False,
        "since": None,
        "pid": None,
        "version": None,
        "engine": None,
        "engineConnected": None,
        "instances": [
            machine | {"ec2InstanceId": registered.instance_id, "arn": arn, "zone": "us-east-1a"},
            machine | {"ec2InstanceId": lost.instance_id, "arn": None, "zone": "us-east-1b"},
        ],
    }
    assert site.get("hosts") == {"hosts": [away]}

    hello = {"host": "local", "name": "lap", "pid": 7, "version": "1", "engine": {"product": "Docker"}}
    link = server.links.connect(5.0, HostHello.model_validate(hello), lambda message: None, lambda: None)
    server.links.connect(6.0, HostHello(host="ABCD", name="other"), lambda message: None, lambda: None)
    failed = {lost.instance_id: "no subnet is free"}
    state = {"instances": [registered.instance_id], "failed": failed}
    link.receive({"type": "miniecs.HostState", "message": state})
    first, second = site.get("hosts")["hosts"]
    assert first == away | {
        "name": "lap",
        "connected": True,
        "since": 5.0,
        "pid": 7,
        "version": "1",
        "engine": {"product": "Docker"},
        "engineConnected": True,
        "instances": [
            away["instances"][0] | {"up": True},
            away["instances"][1] | {"failure": "no subnet is free"},
        ],
    }
    assert (second["id"], second["name"], second["local"], second["engineConnected"]) == (
        "ABCD",
        "other",
        False,
        None,
    )


def test_an_instance_that_could_not_be_made_says_why(site: Site) -> None:
    site.server.fails = "No agent is connected."
    assert site.refused("POST", "instances", json={}) == (503, "No agent is connected.")


def test_stopped_tasks_are_shown_when_asked_for_and_have_no_address(site: Site) -> None:
    task = site.run_task()
    bound = replace(task.containers[0], network_bindings=(NetworkBinding("0.0.0.0", "tcp", 80, 32768),))
    at = site.aws.clock.time + 10
    site.change(
        task.arn, last_status="STOPPED", stopped_at=at, containers=(bound,), stopped_reason="So."
    )
    site.aws.clock.time += 15
    assert site.get("tasks")["tasks"] == []
    (shown,) = site.get("tasks", all=True)["tasks"]
    assert (shown["ageSeconds"], shown["addresses"], shown["stoppedReason"]) == (5.0, [], "So.")


def test_tasks_of_one_cluster(site: Site) -> None:
    site.run_task()
    assert len(site.get("tasks", cluster="default")["tasks"]) == 1
    assert len(site.get("tasks", cluster=arns.cluster(site.server.scope, "default"))["tasks"]) == 1
    assert site.get("tasks", cluster="defaul")["tasks"] == []


def test_events_are_told_as_sentences(site: Site) -> None:
    task = site.run_task(last_status="STOPPED", desired_status="STOPPED", stopped_reason="Out of paper")
    instance = site.server.store.get(ContainerInstance, site.instance)
    service = arns.service(site.server.scope, "default", "api")
    start = site.server.store.events(limit=1000)[-1].seq
    with site.server.store.transaction() as tx:
        tx.emit(Event(EventKind.TASK, task.arn, 1.0, state=task, because="it was full"))
        tx.emit(Event(EventKind.CONTAINER_INSTANCE, site.instance, 2.0, state=instance))
        tx.emit(Event(EventKind.SERVICE_MESSAGE, service, 3.0, message="(service api) is tired.", id="x"))
        tx.emit(
            Event(EventKind.SERVICE_ACTION, service, 4.0, name="STEADY_STATE", level="WARN", reason="R")
        )
    page = site.get("events", after=start)
    assert page["last"] == start + 4
    assert page["events"][0] == {
        "seq": start + 1,
        "at": 1.0,
        "kind": "ECS Task State Change",
        "resource": task.arn,
        "level": "INFO",
        "name": None,
        "text": "web:1 is STOPPED: Out of paper",
        "because": "it was full",
    }
    assert [(e["text"], e["level"], e["name"]) for e in page["events"][1:]] == [
        ("ACTIVE, agent connected", "INFO", None),
        ("(service api) is tired.", "INFO", None),
        ("STEADY_STATE R", "WARN", "STEADY_STATE"),
    ]
    assert [e["seq"] for e in site.get("events", limit=2)["events"]] == [start + 3, start + 4]
    assert site.get("events", after=start + 4) == {"events": [], "last": start + 4}


def test_events_of_a_service_are_its_tasks_too_and_those_of_a_deleted_one_are_left(site: Site) -> None:
    made = site.aws.ecs("CreateService", serviceName="api", taskDefinition="web", desiredCount=1)
    service = made["service"]["serviceArn"]
    task = site.run_task(service_arn=service)
    other = site.run_task()
    gone = arns.service(site.server.scope, "default", "gone")
    start = site.server.store.events(limit=1000)[-1].seq
    with site.server.store.transaction() as tx:
        tx.emit(Event(EventKind.TASK, task.arn, 1.0, state=task))
        tx.emit(Event(EventKind.TASK, other.arn, 2.0, state=other))
        tx.emit(Event(EventKind.DECISION, task.arn, 3.0, message="placed"))
        tx.emit(Event(EventKind.SERVICE_MESSAGE, service, 4.0, message="(service api) is tired."))
        tx.emit(Event(EventKind.SERVICE_MESSAGE, gone, 5.0, message="(service gone) was here."))

    def times(resource: str) -> list[float]:
        return [event["at"] for event in site.get("events", resource=resource, after=start)["events"]]

    assert times("api") == [1.0, 3.0, 4.0]
    assert times("default") == [1.0, 2.0, 3.0, 4.0]
    assert times(task.arn) == [1.0, 3.0]
    assert times(gone) == [5.0]
    assert site.refused("GET", "events", params={"resource": "gone"})[0] == 404


def test_deployments_of_a_service_with_task_sets_are_its_task_sets(site: Site) -> None:
    external = {"deploymentController": {"type": "EXTERNAL"}}
    site.aws.ecs("CreateService", serviceName="api", desiredCount=4, **external)
    of = {"cluster": "default", "service": "api"}
    made = site.aws.ecs("CreateTaskSet", **of, taskDefinition="web", scale={"value": 50.0, "unit": "PERCENT"})
    id = made["taskSet"]["id"]
    running = {"last_status": "RUNNING", "started_at": site.aws.clock.time}
    service_arn = "arn:aws:ecs:us-east-1:000000000000:service/default/api"
    site.run_task(service_arn=service_arn, deployment_id=id, **running)
    site.aws.clock.time += 10
    page = site.get("deployments", service="api")
    assert page["deployments"] == []
    (shown,) = page["taskSets"]
    assert (shown["id"], shown["status"], shown["rolloutState"]) == (id, "ACTIVE", "STABILIZING")
    assert (shown["rolloutStateReason"], shown["desired"]) == ("50 % of 4.", 2)
    assert {state: count for state, count in shown["tasks"].items() if count} == {"settling": 1}
    assert any("counts as healthy 10 s from now" in wait for wait in shown["waits"]), shown["waits"]


def test_explain_finds_by_digits_name_and_arn_and_prefers_what_lives(site: Site) -> None:
    task = site.run_task()
    site.aws.ecs("CreateService", serviceName="api", taskDefinition="web", desiredCount=1)
    id = arns.name_of(task.arn)
    assert [site.get("explain", name=name)["arn"] for name in (id, id[:8], task.arn)] == [task.arn] * 3
    explained = site.get("explain", name="api")
    assert explained["kind"] == "service"
    assert explained["lines"][0].startswith("Service api is ACTIVE: 1 task wanted")
    assert explained["lines"][-1] == "All of ECS's waits are 2 times shorter here (--time-scale 2)."
    assert explained["details"]["deployments"][0]["definition"] == "web:1"
    site.aws.ecs("CreateCluster", clusterName="second")
    site.aws.ecs("CreateService", cluster="second", serviceName="api", taskDefinition="web", desiredCount=0)
    status, message = site.refused("GET", "explain", params={"name": "api"})
    assert status == 409
    assert message == (
        "'api' can be 2 things: arn:aws:ecs:us-east-1:000000000000:service/default/api, "
        "arn:aws:ecs:us-east-1:000000000000:service/second/api. Give more digits or the ARN."
    )
    assert site.get("explain", name="api", cluster="second")["arn"].endswith(":service/second/api")
    site.aws.ecs("DeleteService", cluster="second", service="api", force=True)
    assert site.get("explain", name="api")["arn"].endswith(":service/default/api")


def test_explain_an_instance_and_a_cluster(site: Site) -> None:
    task = site.run_task(last_status="RUNNING")
    assert site.get("explain", name=site.instance)["lines"][:3] == [
        f"Container instance {arns.name_of(site.instance)} (t3.medium, us-east-1a) is ACTIVE; its agent is "
        "connected.",
        "Free: 1920 of 2048 CPU units, 3825 of 3953 MiB.",
        f"Task {arns.name_of(task.arn)[:8]} of web:1 (family:web) is RUNNING: 128 CPU units, 128 MiB.",
    ]
    assert site.get("explain", name="default")["lines"][0] == (
        "Cluster default is ACTIVE, with 1 container instance."
    )


def test_instances_come_and_go(site: Site) -> None:
    body = {"cluster": "default", "type": "m5.large", "zone": "b", "attributes": {"disk": "ssd"}}
    status, added = site.ask("POST", "instances", json=body)
    assert status == 201
    assert (added["zone"], added["cpu"]) == ("us-east-1b", {"registered": 2048, "remaining": 2048})
    listed = site.get("instances")["instances"]
    assert [i["arn"] for i in listed] == [site.instance, added["arn"]]
    assert site.get("instances", name=added["id"][:8])["instances"] == [added]
    assert site.ask("DELETE", "instances", params={"name": added["id"]}) == (
        200, {"arn": added["arn"], "removed": True},
    )
    assert site.server.asked == [
        InstanceSpec("default", "m5.large", "us-east-1b", (("disk", "ssd"),)), added["arn"],
    ]
    assert [i["arn"] for i in site.get("instances")["instances"]] == [site.instance]
    assert site.refused("DELETE", "instances", params={"name": added["id"]}) == (
        404, f"Container instance {added['id']} is not registered any more.",
    )


def test_an_instance_with_tasks_is_removed_by_force_alone(site: Site) -> None:
    site.run_task()
    site.run_task()
    name = arns.name_of(site.instance)
    status, message = site.refused("DELETE", "instances", params={"name": name})
    assert (status, message[:54]) == (409, f"2 tasks are on container instance {name[:8]}. Drain it f")
    assert site.server.asked == []
    assert site.ask("DELETE", "instances", params={"name": name, "force": True})[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "more", "expected"),
    [
        ("GET", "nonesuch", {}, (404, "There is no /_miniecs/nonesuch in miniecs. There are /_")),
        ("POST", "status", {}, (405, "/_miniecs/status does not take POST.")),
        ("GET", "explain", {}, (400, "name: Field required.")),
        ("GET", "events", {"params": {"limit": 0}}, (400, "limit: Input should be greater than or eq")),
        ("GET", "events", {"params": {"after": "x"}}, (400, "after: Input should be a valid integer,")),
        ("GET", "tasks", {"params": {"all": "perhaps"}}, (400, "all: Input should be a valid boolean,")),
        ("POST", "instances", {"content": b"{"}, (400, "")),
        ("POST", "instances", {"json": {"kind": "x"}}, (400, "kind: Extra inputs are not permi")),
        ("POST", "instances", {"json": {"type": "t9.huge"}}, (400, "'t9.huge' is not a known insta")),
        ("POST", "instances", {"json": {"zone": "eu-west-1a"}}, (409, "There is no zone 'eu-west-1a'")),
        ("POST", "instances", {"json": {"attributes": {"ecs.a": "b"}}}, (409, "The attribute 'ecs.a' is")),
        ("POST", "instances", {"json": {"cluster": "no"}}, (400, "Cluster not found.")),
        ("DELETE", "instances", {"params": {"name": "1234567"}}, (404, "There is no container instance")),
    ],
)
def test_every_error_says_what_is_wrong(
    site: Site, method: str, path: str, more: dict[str, Any], expected: tuple[int, str]
) -> None:
    status, message = site.refused(method, path, **more)
    assert (status, message[: len(expected[1])]) == expected


def test_a_bug_is_an_answer_too(site: Site) -> None:
    broken = replace(site.server, store=None)  # type: ignore[arg-type]
    status, message = Site(site.aws, broken, "").refused("GET", "status")
    assert status == 500
    assert message.startswith("/_miniecs/status failed: ")
    assert message.endswith(" The server's log says more.")


def test_explain_has_the_record_of_a_placement(site: Site) -> None:
    task = site.run_task()
    answer = site.get("explain", name=task.arn)
    kept = answer["details"]["placement"]
    assert (kept["because"], kept["considered"], kept["removed"]) == ("RunTask was called", 1, [])
    assert [each["host"] for each in kept["ranked"]] == [arns.name_of(site.instance)]
    assert "Placement of 1 task of family:web with 128 CPU units, 128 MiB." in answer["lines"]
    assert answer["lines"].index("  1 container instance considered, none removed, 1 left.") > 1


def test_explain_of_a_cluster_tells_of_the_last_task_that_found_no_host(site: Site) -> None:
    assert site.get("explain", name="default")["details"]["placements"] == []
    site.aws.register_task_definition("huge", memory=100_000)
    site.aws.ecs("RunTask", taskDefinition="huge")
    site.aws.clock.time += 4
    answer = site.get("explain", name="default")
    assert answer["details"]["placements"][0]["unplaced"]["tasks"] == 1
    first = answer["lines"].index("The last RunTask or StartTask that found no host for any task:")
    told = answer["lines"][first:]
    assert told[1].startswith("4 s ago: Placement of 1 task of family:huge with 128 CPU units, 100000 MiB")
    assert "no host is large enough: a task needs 100000 MiB, the largest has 3953" in told[-2]
