"""Services as a user watches them: rolling bounds, draining, daemons, late capacity, bad images."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from .aws_shapes import events, id_of, register, service, steady, task, tasks
from .conftest import StartServer
from .process import ServerProcess, until

GUIDE = " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
NO_INSTANCE = "was unable to place a task because no container instance met all of its requirements."


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    """Each story makes a cluster and container instances of its own."""
    return start_server(time_scale=20.0, instances=0)


def make_cluster(server: ServerProcess, name: str, instances: int) -> list[str]:
    """A cluster with t3.medium instances; their ARNs."""
    server.client("ecs").create_cluster(clusterName=name)
    return [add_instance(server, name) for _ in range(instances)]


def add_instance(server: ServerProcess, cluster: str) -> str:
    return str(server.request("POST", "/_miniecs/instances", {"cluster": cluster})["arn"])


@pytest.mark.parametrize(("minimum", "maximum"), [(100, 150), (50, 100)])
def test_a_rolling_update_keeps_to_its_bounds(
    server: ServerProcess, ecs: Any, minimum: int, maximum: int
) -> None:
    cluster, desired = f"roll-{minimum}-{maximum}", 4
    floor, ceiling = desired * minimum // 100, desired * maximum // 100
    make_cluster(server, cluster, 2)
    old, new = register(ecs, cluster), register(ecs, cluster)
    ecs.create_service(
        cluster=cluster,
        serviceName="shop",
        taskDefinition=old,
        desiredCount=desired,
        deploymentConfiguration={"minimumHealthyPercent": minimum, "maximumPercent": maximum},
    )
    until("the first deployment", lambda: steady(ecs, "shop", desired, cluster))
    ecs.update_service(cluster=cluster, service="shop", taskDefinition=new)
    samples = []

    def sampled() -> bool:
        samples.append(service(ecs, "shop", cluster))
        return len(samples[-1]["deployments"]) == 1

    until("the second deployment", sampled, within=60.0, every=0.01)
    until("the steady state", lambda: steady(ecs, "shop", desired, cluster))
    both = [[(d["status"], d["taskDefinition"]) for d in s["deployments"]] for s in samples[:-1]]
    assert both and all(each == [("PRIMARY", new), ("ACTIVE", old)] for each in both)
    running = [sample["runningCount"] for sample in samples]
    assert min(running) >= floor and max(running) <= ceiling, running
    # The bounds were not only kept but used: more at once above 100, fewer where nothing may be above.
    assert max(running) > desired if maximum > 100 else min(running) < desired
    live = tasks(ecs, cluster, serviceName="shop")
    assert [t["taskDefinitionArn"] for t in live] == [new] * desired
    ended = tasks(ecs, cluster, "STOPPED", serviceName="shop")
    assert [t["taskDefinitionArn"] for t in ended] == [old] * desired
    _hold(live + ended, floor, ceiling, healthy_after=40.0 / server.scale)
    primary = service(ecs, "shop", cluster)["deployments"][0]["id"]
    assert f"(service shop) (deployment {primary}) deployment completed." in events(ecs, "shop", cluster)
    ecs.delete_service(cluster=cluster, service="shop", force=True)


def _hold(history: list[dict[str, Any]], floor: int, ceiling: int, healthy_after: float) -> None:
    """By the tasks' own times: how many there were at each start, how many healthy ones at each stop."""
    never = float("inf")

    def at(one: dict[str, Any], name: str) -> float:
        return float(one[name].timestamp()) if name in one else never

    for moment in (at(one, "createdAt") for one in history):
        there = sum(at(one, "createdAt") <= moment < at(one, "stoppedAt") for one in history)
        assert there <= ceiling
    for moment in (at(one, "stoppingAt") for one in history if "stoppingAt" in one):
        healthy = sum(
            at(one, "startedAt") + healthy_after - 0.01 <= moment < at(one, "stoppingAt")
            for one in history
        )
        assert healthy >= floor


def test_bounds_that_allow_no_move(server: ServerProcess, ecs: Any) -> None:
    make_cluster(server, "stuck", 1)
    old, new = register(ecs, "stuck"), register(ecs, "stuck")
    ecs.create_service(
        cluster="stuck",
        serviceName="shop",
        taskDefinition=old,
        desiredCount=2,
        deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 100},
    )
    until("the first deployment", lambda: steady(ecs, "shop", 2, "stuck"))
    ecs.update_service(cluster="stuck", service="shop", taskDefinition=new)
    stuck = (
        "(service shop) was unable to stop or start tasks during a deployment because of the service "
        "deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
    )
    until("the event of a deadlock", lambda: stuck in events(ecs, "shop", "stuck"))
    assert {t["taskDefinitionArn"] for t in tasks(ecs, "stuck", serviceName="shop")} == {old}
    waiter = ecs.get_waiter("services_stable")
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        waiter.wait(cluster="stuck", services=["shop"], WaiterConfig={"Delay": 0.2, "MaxAttempts": 5})
    bounds = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    ecs.update_service(cluster="stuck", service="shop", deploymentConfiguration=bounds)
    waiter.wait(cluster="stuck", services=["shop"], WaiterConfig={"Delay": 0.2, "MaxAttempts": 150})
    stable = service(ecs, "shop", "stuck")
    assert (len(stable["deployments"]), stable["runningCount"]) == (1, 2)
    assert {t["taskDefinitionArn"] for t in tasks(ecs, "stuck", serviceName="shop")} == {new}
    assert events(ecs, "shop", "stuck").count(stuck) == 1


def test_draining_an_instance(server: ServerProcess, ecs: Any) -> None:
    """Services' tasks move away under the bounds; a standalone task stays; nothing new comes."""
    first, second = make_cluster(server, "drain", 2)
    definition = register(ecs, "drain")
    alone = ecs.start_task(cluster="drain", taskDefinition=definition, containerInstances=[first])
    (alone,) = (each["taskArn"] for each in alone["tasks"])
    ecs.create_service(cluster="drain", serviceName="shop", taskDefinition=definition, desiredCount=4)
    until("the service", lambda: steady(ecs, "shop", 4, "drain"))
    assert {t["containerInstanceArn"] for t in tasks(ecs, "drain", serviceName="shop")} == {first, second}
    before = {t["taskArn"] for t in tasks(ecs, "drain", serviceName="shop")}
    answer = ecs.update_container_instances_state(
        cluster="drain", containerInstances=[first], status="DRAINING"
    )
    assert [each["status"] for each in answer["containerInstances"]] == ["DRAINING"]
    lowest = []

    def moved() -> bool:
        lowest.append(service(ecs, "shop", "drain")["runningCount"])
        where = {t["containerInstanceArn"] for t in tasks(ecs, "drain", serviceName="shop")}
        return where == {second} and steady(ecs, "shop", 4, "drain")

    until("the service's tasks to move", moved)
    assert min(lowest) >= 4
    assert task(ecs, alone, "drain")["lastStatus"] == "RUNNING"
    stayed = before & {t["taskArn"] for t in tasks(ecs, "drain", serviceName="shop")}
    assert len(stayed) == 2, "those on the other instance"
    here = [t["taskArn"] for t in tasks(ecs, "drain", containerInstance=first)]
    assert here == [alone]
    shown = ecs.describe_container_instances(cluster="drain", containerInstances=[first])
    (left,) = shown["containerInstances"]
    assert (left["status"], left["runningTasksCount"], left["pendingTasksCount"]) == ("DRAINING", 1, 0)
    (run,) = ecs.run_task(cluster="drain", taskDefinition=definition)["tasks"]
    assert run["containerInstanceArn"] == second
    ecs.update_container_instances_state(cluster="drain", containerInstances=[first], status="ACTIVE")
    ecs.update_service(cluster="drain", service="shop", desiredCount=6)
    until("a task on the instance", lambda: len(tasks(ecs, "drain", containerInstance=first)) > 1)


def test_a_daemon_follows_the_instances(server: ServerProcess, ecs: Any) -> None:
    (first,) = make_cluster(server, "daemon", 1)
    definition = register(ecs, "daemon")
    made = ecs.create_service(
        cluster="daemon", serviceName="logs", taskDefinition=definition, schedulingStrategy="DAEMON"
    )["service"]
    assert (made["schedulingStrategy"], made["desiredCount"]) == ("DAEMON", 0)

    def where() -> list[str]:
        running = [t for t in tasks(ecs, "daemon", serviceName="logs") if t["lastStatus"] == "RUNNING"]
        return sorted(t["containerInstanceArn"] for t in running)

    until("the daemon's task", lambda: where() == [first])
    second = add_instance(server, "daemon")
    until("a task on the new instance", lambda: where() == sorted([first, second]))
    assert service(ecs, "logs", "daemon")["desiredCount"] == 2
    until("the steady state", lambda: steady(ecs, "logs", 2, "daemon"))
    newer = register(ecs, "daemon")
    ecs.update_service(cluster="daemon", service="logs", taskDefinition=newer)
    until("the new revision everywhere", lambda: steady(ecs, "logs", 2, "daemon"))
    assert {t["taskDefinitionArn"] for t in tasks(ecs, "daemon", serviceName="logs")} == {newer}
    ecs.update_container_instances_state(cluster="daemon", containerInstances=[first], status="DRAINING")
    until("the drained instance to be empty", lambda: where() == [second])


def test_capacity_that_comes_late(server: ServerProcess, ecs: Any) -> None:
    make_cluster(server, "late", 0)
    definition = register(ecs, "late", cpu=1500)
    ecs.create_service(cluster="late", serviceName="shop", taskDefinition=definition, desiredCount=2)
    empty = f"(service shop) {NO_INSTANCE} Reason: No Container Instances were found in your cluster.{GUIDE}"
    until("the event", lambda: events(ecs, "shop", "late") == [empty])
    first = add_instance(server, "late")
    until("the first task", lambda: service(ecs, "shop", "late")["runningCount"] == 1)
    closest = f"The closest matching (container-instance {id_of(first)})"
    full = f"(service shop) {NO_INSTANCE} {closest} has insufficient CPU units available.{GUIDE}"
    until("the second event", lambda: events(ecs, "shop", "late")[-1] == full)
    said = events(ecs, "shop", "late")
    (started,) = (t["taskArn"] for t in tasks(ecs, "late", serviceName="shop"))
    assert said == [empty, f"(service shop) has started 1 tasks: (task {id_of(started)}).", full]
    second = add_instance(server, "late")
    until("both tasks", lambda: steady(ecs, "shop", 2, "late"))
    assert {t["containerInstanceArn"] for t in tasks(ecs, "late", serviceName="shop")} == {first, second}
    failures = ecs.run_task(cluster="late", taskDefinition=definition)["failures"]
    assert sorted((f["arn"], f["reason"]) for f in failures) == sorted(
        (arn, "RESOURCE:CPU") for arn in (first, second)
    )


@pytest.mark.parametrize(
    ("image", "code", "reason", "exit_code", "container"),
    [
        ("sim/crash-on-start", "EssentialContainerExited", "Essential container in task exited", 1, None),
        ("sim/exit-3-after-0.2", "EssentialContainerExited", "Essential container in task exited", 3, None),
        (
            "sim/oom-after-0.1",
            "EssentialContainerExited",
            "Essential container in task exited",
            137,
            "OutOfMemoryError: Container killed due to memory usage",
        ),
        ("sim/pull-fails", "TaskFailedToStart", "Task failed to start", None, "CannotPullContainerError: "),
        ("sim/start-fails", "TaskFailedToStart", "Task failed to start", None, "CannotStartContainerError: "),
    ],
)
def test_why_a_task_stopped(
    server: ServerProcess,
    ecs: Any,
    image: str,
    code: str,
    reason: str,
    exit_code: int | None,
    container: str | None,
) -> None:
    cluster = "why"
    if cluster not in str(ecs.list_clusters()["clusterArns"]):
        make_cluster(server, cluster, 1)
    definition = register(ecs, re.sub(r"[^a-z0-9]", "-", image), image=image)
    (made,) = ecs.run_task(cluster=cluster, taskDefinition=definition)["tasks"]
    until("its end", lambda: task(ecs, made["taskArn"], cluster)["lastStatus"] == "STOPPED")
    stopped = task(ecs, made["taskArn"], cluster)
    assert (stopped["stopCode"], stopped["stoppedReason"]) == (code, reason)
    (shown,) = stopped["containers"]
    assert shown.get("exitCode") == exit_code
    assert shown.get("reason", "").startswith(container or "")
    assert ("reason" in shown) == (container is not None)


def test_a_service_whose_tasks_never_start(server: ServerProcess, ecs: Any) -> None:
    """Launches come ever more slowly, the service says so, and a better revision is not held up by that."""
    make_cluster(server, "never", 1)
    bad, good = register(ecs, "never", image="sim/start-fails"), register(ecs, "never")
    ecs.create_service(cluster="never", serviceName="shop", taskDefinition=bad, desiredCount=1)
    impaired = "(service shop) is unable to consistently start tasks successfully."
    until("the event", lambda: impaired in events(ecs, "shop", "never"))

    def launched() -> list[float]:
        found = tasks(ecs, "never", "STOPPED", serviceName="shop")
        return sorted(t["createdAt"].timestamp() for t in found if t["lastStatus"] == "STOPPED")

    until("five launches", lambda: len(launched()) >= 5)
    gaps = [later - earlier for earlier, later in zip(launched(), launched()[1:], strict=False)]
    # 10 s, 20 s, 40 s … at scale 20, after a first failure that is free.
    assert gaps[1] >= 0.5 and gaps[2] >= 1.0 and gaps[3] >= 2.0, gaps
    assert service(ecs, "shop", "never")["deployments"][0]["failedTasks"] >= 5
    ecs.update_service(cluster="never", service="shop", taskDefinition=good)
    began = time.monotonic()
    until("the better revision", lambda: service(ecs, "shop", "never")["runningCount"] == 1)
    assert time.monotonic() - began < 4.0, "the next launch of the old one was 4 s away"


def test_how_long_failed_launches_wait_is_chosen(start_server: StartServer) -> None:
    """40 s at most and from the start on, at scale 20; a restart by kill -9 does not begin anew."""
    other = start_server(time_scale=20.0, instances=1, launch_throttle="40:40")
    ecs = other.client("ecs")
    definition = register(ecs, "never", image="sim/start-fails")
    ecs.create_service(serviceName="shop", taskDefinition=definition, desiredCount=1)

    def launched() -> list[float]:
        found = tasks(ecs, status="STOPPED", serviceName="shop")
        return sorted(t["createdAt"].timestamp() for t in found if t["lastStatus"] == "STOPPED")

    until("two launches", lambda: len(launched()) >= 2)
    other.kill()
    other.start()
    until("four launches", lambda: len(launched()) >= 4)
    gaps = [later - earlier for earlier, later in zip(launched(), launched()[1:], strict=False)]
    assert gaps[0] < 2.0 <= min(gaps[1:3]), gaps
    assert "launches in a row ended before RUNNING" in " ".join(
        other.request("GET", "/_miniecs/explain?name=shop")["lines"]
    )


def test_the_circuit_breaker(server: ServerProcess, ecs: Any) -> None:
    make_cluster(server, "breaker", 1)
    good, bad = register(ecs, "breaker"), register(ecs, "breaker", image="sim/start-fails")
    ecs.create_service(
        cluster="breaker",
        serviceName="shop",
        taskDefinition=good,
        desiredCount=2,
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    )
    until("the first deployment", lambda: steady(ecs, "shop", 2, "breaker"))
    first = service(ecs, "shop", "breaker")["deployments"][0]["id"]
    ecs.update_service(cluster="breaker", service="shop", taskDefinition=bad)
    second = service(ecs, "shop", "breaker")["deployments"][0]["id"]
    until("the roll back", lambda: steady(ecs, "shop", 2, "breaker"))
    shown = service(ecs, "shop", "breaker")
    assert (shown["taskDefinition"], shown["deployments"][0]["id"]) == (good, first)
    said = events(ecs, "shop", "breaker")
    failed = f"(service shop) (deployment {second}) deployment failed: tasks failed to start."
    assert failed in said
    assert said.index(f"(service shop) rolling back to deployment {first}.") == said.index(failed) + 1
