"""ECS's waiters: each goes on until what it waits for is so, ends soon after, and fails as with AWS.

The waiters are boto3's and the AWS CLI's own; what they look at is ours. Where something has to hold them up,
it is something that ECS knows: no room, bounds that allow no move, targets that drain, a container that does
not obey.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from .aws_shapes import events, register, service, steady, task, tasks
from .conftest import StartServer
from .process import NotReached, ServerProcess, until

SCALE = 20.0
EVERY = 0.1  # seconds between two looks
SOON = 5.0  # seconds, on a busy machine
SUBNETS = ["subnet-11111111", "subnet-22222222"]


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(time_scale=SCALE, instances=0)


@pytest.fixture
def cluster(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[str]:
    """A cluster of the test's own with one t3.medium; its services are deleted afterwards."""
    ecs = server.client("ecs")
    name = request.node.name.removeprefix("test_")[:200]
    ecs.create_cluster(clusterName=name)
    add_instance(server, name)
    yield name
    for arn in ecs.list_services(cluster=name)["serviceArns"]:
        ecs.delete_service(cluster=name, service=arn, force=True)


def add_instance(server: ServerProcess, cluster: str) -> None:
    server.request("POST", "/_miniecs/instances", {"cluster": cluster})


class Waiting:
    """A waiter at work in a thread, with how often it has looked."""

    def __init__(self, ecs: Any, waiter: str, **params: Any) -> None:
        self.looks = 0
        self.error: WaiterError | None = None
        self.ended_at = 0.0
        self._ecs = ecs
        self._call = (waiter, params)
        operation = "DescribeTasks" if waiter.startswith("tasks") else "DescribeServices"
        self._event = f"after-call.ecs.{operation}"
        ecs.meta.events.register(self._event, self._looked, unique_id=f"waiting-{id(self)}")
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()

    def _looked(self, **_: Any) -> None:
        if threading.current_thread() is self._thread:
            self.looks += 1

    def _wait(self) -> None:
        waiter, params = self._call
        config = {"Delay": EVERY, "MaxAttempts": 1200}
        try:
            self._ecs.get_waiter(waiter).wait(**params, WaiterConfig=config)
        except WaiterError as error:
            self.error = error
        self.ended_at = time.time()

    def goes_on(self) -> None:
        """It has looked since, more than once, and waits still."""
        before = self.looks
        until("the waiter to look again", lambda: self.looks > before + 2 or not self._thread.is_alive())
        assert self._thread.is_alive(), f"it ended: {self.error}"

    def ends(self, within: float = 60.0) -> None:
        self._joined(within)
        assert self.error is None, self.error

    def fails(self, why: str, within: float = SOON) -> None:
        self._joined(within)
        assert why in str(self.error)

    def _joined(self, within: float) -> None:
        self._thread.join(within)
        if self._thread.is_alive():
            raise NotReached(f"waited {within:g} s for the waiter to end; it has looked {self.looks} times")
        self._ecs.meta.events.unregister(self._event, self._looked, unique_id=f"waiting-{id(self)}")


def create(ecs: Any, cluster: str, definition: str, desired: int, name: str = "shop", **params: Any) -> None:
    ecs.create_service(
        cluster=cluster, serviceName=name, taskDefinition=definition, desiredCount=desired, **params
    )


def stable(ecs: Any, cluster: str, *names: str) -> Waiting:
    return Waiting(ecs, "services_stable", cluster=cluster, services=list(names or ("shop",)))


def inactive(ecs: Any, cluster: str, name: str = "shop") -> Waiting:
    return Waiting(ecs, "services_inactive", cluster=cluster, services=[name])


def engines(server: ServerProcess, ecs: Any, cluster: str) -> dict[str, int]:
    """How many containers of the service really run, by task definition."""
    definitions = {
        each["taskArn"]: each["taskDefinitionArn"]
        for status in ("RUNNING", "STOPPED")
        for each in tasks(ecs, cluster, status, serviceName="shop")
    }
    found: dict[str, int] = {}
    for container in server.containers():
        if container["task"] in definitions and container["state"] == "running":
            definition = definitions[container["task"]]
            found[definition] = found.get(definition, 0) + 1
    return found


# services-stable


def test_stable_waits_for_the_last_task(server: ServerProcess, ecs: Any, cluster: str) -> None:
    """Two of four have room; with an instance more the others run, too."""
    definition = register(ecs, cluster, cpu=1024)
    create(ecs, cluster, definition, 4)
    waiter = stable(ecs, cluster)
    until("two tasks", lambda: service(ecs, "shop", cluster)["runningCount"] == 2)
    waiter.goes_on()
    add_instance(server, cluster)
    waiter.ends()
    assert engines(server, ecs, cluster) == {definition: 4}
    started = max(each["startedAt"] for each in tasks(ecs, cluster, serviceName="shop"))
    assert 0 <= waiter.ended_at - started.timestamp() < SOON

    # What was just asked for is not taken for what was.
    ecs.update_service(cluster=cluster, service="shop", desiredCount=5)
    waiter = stable(ecs, cluster)
    waiter.goes_on()
    ecs.update_service(cluster=cluster, service="shop", desiredCount=1)
    waiter.ends()
    assert service(ecs, "shop", cluster)["runningCount"] == 1
    ecs.update_service(cluster=cluster, service="shop", desiredCount=0)
    waiter = stable(ecs, cluster)
    waiter.ends()
    assert service(ecs, "shop", cluster)["runningCount"] == 0


def test_stable_waits_for_the_old_tasks_of_a_rolling_update(
    server: ServerProcess, ecs: Any, cluster: str
) -> None:
    """As many run as are desired, but a second deployment is ACTIVE, as its tasks cannot be replaced yet."""
    old, new = register(ecs, cluster), register(ecs, cluster)
    exact = {"minimumHealthyPercent": 100, "maximumPercent": 100}
    create(ecs, cluster, old, 2, deploymentConfiguration=exact)
    stable(ecs, cluster).ends()
    ecs.update_service(cluster=cluster, service="shop", taskDefinition=new)
    waiter = stable(ecs, cluster)
    waiter.goes_on()
    shown = service(ecs, "shop", cluster)
    assert (shown["runningCount"], shown["desiredCount"]) == (2, 2)
    assert [each["status"] for each in shown["deployments"]] == ["PRIMARY", "ACTIVE"]
    loose = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    ecs.update_service(cluster=cluster, service="shop", deploymentConfiguration=loose)
    waiter.ends()
    assert engines(server, ecs, cluster) == {new: 2}
    (only,) = service(ecs, "shop", cluster)["deployments"]
    assert only["taskDefinition"] == new


def test_stable_waits_for_the_end_of_a_rollback(server: ServerProcess, ecs: Any, cluster: str) -> None:
    good, bad = register(ecs, cluster), register(ecs, cluster, image="sim/pull-takes-2/start-fails")
    create(ecs, cluster, good, 2)
    stable(ecs, cluster).ends()
    # Stable is RUNNING: what can be rolled back to is only there when the tasks have been healthy.
    until("a deployment to roll back to", lambda: steady(ecs, "shop", 2, cluster))
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    ecs.update_service(
        cluster=cluster, service="shop", taskDefinition=bad, deploymentConfiguration=breaker
    )
    waiter = stable(ecs, cluster)
    waiter.goes_on()
    assert len(service(ecs, "shop", cluster)["deployments"]) == 2
    waiter.ends()
    assert any("rolling back to deployment" in text for text in events(ecs, "shop", cluster))
    assert engines(server, ecs, cluster) == {good: 2}
    (only,) = service(ecs, "shop", cluster)["deployments"]
    assert (only["taskDefinition"], only["status"]) == (good, "PRIMARY")
    listed = ecs.list_service_deployments(cluster=cluster, service="shop")["serviceDeployments"]
    assert [each["status"] for each in listed] == ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]


def test_stable_waits_for_every_service(server: ServerProcess, ecs: Any, cluster: str) -> None:
    small, large = register(ecs, f"{cluster}-small"), register(ecs, f"{cluster}-large", cpu=2048)
    create(ecs, cluster, small, 1)
    stable(ecs, cluster).ends()
    create(ecs, cluster, large, 1, name="large")
    waiter = stable(ecs, cluster, "shop", "large")
    waiter.goes_on()
    add_instance(server, cluster)
    waiter.ends()
    assert service(ecs, "large", cluster)["runningCount"] == 1


def test_stable_fails_when_the_service_goes(server: ServerProcess, ecs: Any, cluster: str) -> None:
    """DRAINING, INACTIVE and MISSING are failures; a new service of the name is waited for again."""
    definition = register(ecs, cluster, image="sim/stops-in-60", stopTimeout=120)
    create(ecs, cluster, definition, 2)
    stable(ecs, cluster).ends()
    ecs.update_service(cluster=cluster, service="shop", desiredCount=60)
    waiter = stable(ecs, cluster)
    waiter.goes_on()
    gone = inactive(ecs, cluster)
    gone.goes_on()
    ecs.delete_service(cluster=cluster, service="shop", force=True)
    waiter.fails("services[].status")
    assert '"DRAINING"' in str(waiter.error) or '"INACTIVE"' in str(waiter.error)
    gone.ends()
    stable(ecs, cluster).fails('we matched expected path: "INACTIVE" at least once')
    stable(ecs, cluster, "none").fails('we matched expected path: "MISSING" at least once')
    create(ecs, cluster, definition, 2)
    again, gone = stable(ecs, cluster), inactive(ecs, cluster)
    again.ends()
    gone.goes_on()
    ecs.delete_service(cluster=cluster, service="shop", force=True)
    gone.ends()


def test_a_service_of_task_sets_is_never_stable(server: ServerProcess, ecs: Any, cluster: str) -> None:
    """It has no deployments, which the waiter counts: as with AWS, stabilityStatus has to be looked at."""
    definition = register(ecs, cluster)
    external = {"type": "EXTERNAL"}
    ecs.create_service(
        cluster=cluster, serviceName="shop", desiredCount=1, deploymentController=external
    )
    made = ecs.create_task_set(
        cluster=cluster,
        service="shop",
        taskDefinition=definition,
        scale={"value": 100.0, "unit": "PERCENT"},
    )["taskSet"]
    waiter = stable(ecs, cluster)
    assert made["stabilityStatus"] == "STABILIZING"

    def settled() -> bool:
        (shown,) = ecs.describe_task_sets(cluster=cluster, service="shop")["taskSets"]
        return bool(shown["stabilityStatus"] == "STEADY_STATE")

    until("the task set", settled)
    shown = service(ecs, "shop", cluster)
    assert (shown["runningCount"], shown["deployments"]) == (1, [])
    waiter.goes_on()
    gone = inactive(ecs, cluster)
    gone.goes_on()
    ecs.delete_service(cluster=cluster, service="shop", force=True)
    waiter.fails("services[].status")
    gone.ends()


# services-inactive


def test_inactive_waits_for_the_last_task(server: ServerProcess, ecs: Any, cluster: str) -> None:
    """While its targets drain the service is DRAINING, and INACTIVE when no task runs any more."""
    elb = server.client("elbv2")
    balancer = elb.create_load_balancer(Name="front", Subnets=SUBNETS)["LoadBalancers"][0]
    group = elb.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId="vpc-11111111")
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "120"}
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    definition = register(ecs, cluster, portMappings=[{"containerPort": 80}])
    balanced = [{"targetGroupArn": arn, "containerName": "app", "containerPort": 80}]
    create(ecs, cluster, definition, 2, loadBalancers=balanced)
    waiter = inactive(ecs, cluster)
    stable(ecs, cluster).ends()

    def healthy() -> bool:
        found = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [each["TargetHealth"]["State"] for each in found] == ["healthy"] * 2

    until("healthy targets", healthy)
    waiter.goes_on()
    ecs.delete_service(cluster=cluster, service="shop", force=True)
    waiter.goes_on()
    shown = service(ecs, "shop", cluster)
    assert shown["status"] == "DRAINING"
    left = tasks(ecs, cluster, "STOPPED", serviceName="shop")
    assert [each["lastStatus"] for each in left] == ["DEACTIVATING"] * 2
    waiter.ends()
    ended = tasks(ecs, cluster, "STOPPED", serviceName="shop")
    assert {each["lastStatus"] for each in ended} <= {"STOPPING", "DEPROVISIONING", "STOPPED"}
    assert len(ended) == 2
    inactive(ecs, cluster, "none").fails('we matched expected path: "MISSING" at least once')


# tasks-running and tasks-stopped


def run(ecs: Any, cluster: str, image: str, count: int = 1, **container: Any) -> list[str]:
    definition = register(ecs, f"{cluster}-{len(image)}", image=image, **container)
    started = ecs.run_task(cluster=cluster, taskDefinition=definition, count=count)
    return [each["taskArn"] for each in started["tasks"]]


def running(ecs: Any, cluster: str, *arns: str) -> Waiting:
    return Waiting(ecs, "tasks_running", cluster=cluster, tasks=list(arns))


def stopped(ecs: Any, cluster: str, *arns: str) -> Waiting:
    return Waiting(ecs, "tasks_stopped", cluster=cluster, tasks=list(arns))


def test_running_waits_for_every_task(server: ServerProcess, ecs: Any, cluster: str) -> None:
    quick, slow = run(ecs, cluster, "httpd:2.4"), run(ecs, cluster, "sim/pull-takes-3")
    running(ecs, cluster, *quick).ends()
    waiter, last = running(ecs, cluster, *quick, *slow), stopped(ecs, cluster, *quick, *slow)
    waiter.goes_on()
    assert task(ecs, slow[0], cluster)["lastStatus"] == "PENDING"
    waiter.ends()
    assert {each["task"] for each in server.containers() if each["state"] == "running"} >= {*quick, *slow}
    since = time.time() - task(ecs, slow[0], cluster)["startedAt"].timestamp()
    assert 0 <= since < SOON
    ecs.stop_task(cluster=cluster, task=quick[0])
    until("one to stop", lambda: task(ecs, quick[0], cluster)["lastStatus"] == "STOPPED")
    last.goes_on()
    ecs.stop_task(cluster=cluster, task=slow[0])
    last.ends()
    assert not {*quick, *slow} & {each["task"] for each in server.containers()}


def test_running_fails_when_a_task_stops(server: ServerProcess, ecs: Any, cluster: str) -> None:
    (bad,) = run(ecs, cluster, "sim/pull-takes-2/start-fails")
    waiter, end = running(ecs, cluster, bad), stopped(ecs, cluster, bad)
    waiter.fails('we matched expected path: "STOPPED" at least once', within=60.0)
    end.ends()
    assert task(ecs, bad, cluster)["stopCode"] == "TaskFailedToStart"
    unknown = bad[:-32] + "0" * 32
    running(ecs, cluster, unknown).fails('we matched expected path: "MISSING" at least once')


def test_stopped_waits_for_a_container_that_does_not_obey(
    server: ServerProcess, ecs: Any, cluster: str
) -> None:
    (stubborn,) = run(ecs, cluster, "sim/ignores-sigterm", stopTimeout=60)
    running(ecs, cluster, stubborn).ends()
    waiter = stopped(ecs, cluster, stubborn)
    waiter.goes_on()
    ecs.stop_task(cluster=cluster, task=stubborn)
    until("the signal", lambda: task(ecs, stubborn, cluster)["lastStatus"] == "STOPPING")
    waiter.goes_on()
    running(ecs, cluster, stubborn).fails("STOPPED", within=60.0)
    waiter.ends()
    shown = task(ecs, stubborn, cluster)
    assert shown["containers"][0]["exitCode"] == 137
    took = (shown["stoppedAt"] - shown["stoppingAt"]).total_seconds()
    assert 60.0 / SCALE <= took < 60.0 / SCALE + SOON
    assert 0 <= waiter.ended_at - shown["stoppedAt"].timestamp() < SOON
    # A task that nobody knows has no status: AWS's waiter has no failure for it, and goes on.
    (unknown,) = (stubborn[:-32] + "0" * 32,)
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        ecs.get_waiter("tasks_stopped").wait(
            cluster=cluster, tasks=[unknown], WaiterConfig={"Delay": EVERY, "MaxAttempts": 5}
        )


# The command line


def test_the_command_lines_waiters_fail_with_its_words(server: ServerProcess, ecs: Any, cluster: str) -> None:
    (done,) = run(ecs, cluster, "sim/exit-0")
    stopped(ecs, cluster, done).ends()
    create(ecs, cluster, register(ecs, cluster), 0, name="gone")
    ecs.delete_service(cluster=cluster, service="gone")
    inactive(ecs, cluster, "gone").ends()
    for arguments, words in (
        (("services-stable", "--services", "gone"), ("services[].status", "INACTIVE")),
        (("services-stable", "--services", "none"), ("failures[].reason", "MISSING")),
        (("services-inactive", "--services", "none"), ("failures[].reason", "MISSING")),
        (("tasks-running", "--tasks", done), ("tasks[].lastStatus", "STOPPED")),
    ):
        waiter = server.start_aws("ecs", "wait", *arguments, "--cluster", cluster)
        said, _ = waiter.communicate(timeout=60.0)
        failure = 'For expression "{}" we matched expected path: "{}" at least once'.format(*words)
        assert (waiter.returncode, failure in said) == (255, True), said
    for arguments in (("services-inactive", "--services", "gone"), ("tasks-stopped", "--tasks", done)):
        waiter = server.start_aws("ecs", "wait", *arguments, "--cluster", cluster)
        said, _ = waiter.communicate(timeout=60.0)
        assert (waiter.returncode, said) == (0, "")
