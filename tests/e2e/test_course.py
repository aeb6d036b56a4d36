"""A course's commands, typed as they stand into the real aws command line."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import StartServer
from .process import ServerProcess, until

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/default"


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    server = start_server(time_scale=20.0, instances=2, zones=2)
    definition = {
        "family": "web",
        "networkMode": "bridge",
        "containerDefinitions": [
            {
                "name": "app",
                "image": "httpd:2.4",
                "cpu": 128,
                "memory": 128,
                "essential": True,
                "portMappings": [{"containerPort": 80}],
            }
        ],
    }
    (server.folder / "web.json").write_text(json.dumps(definition))
    answer = server.aws("ecs", "register-task-definition", "--cli-input-json", "file://web.json")
    assert answer["taskDefinition"]["taskDefinitionArn"].endswith(":task-definition/web:1")
    return server


def describe(server: ServerProcess, *tasks: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.client("ecs").describe_tasks(tasks=list(tasks))["tasks"]
    return found


def service(server: ServerProcess, name: str) -> dict[str, Any]:
    (found,) = server.client("ecs").describe_services(services=[name])["services"]
    assert isinstance(found, dict)
    return found


def ended(waiter: subprocess.Popen[str], within: float) -> None:
    """Wait for a waiter's own end, which must be a success."""
    said, _ = waiter.communicate(timeout=within)
    assert waiter.returncode == 0, said


def test_a_task_from_run_to_stop(server: ServerProcess) -> None:
    answer = server.aws("ecs", "run-task", "--task-definition", "web", "--started-by", "me", "--count", "1")
    assert answer["failures"] == []
    (task,) = answer["tasks"]
    assert (task["lastStatus"], task["desiredStatus"], task["startedBy"]) == ("PENDING", "RUNNING", "me")
    assert (task["group"], task["launchType"], task["version"]) == ("family:web", "EC2", 1)
    server.aws("ecs", "wait", "tasks-running", "--tasks", task["taskArn"])
    (running,) = describe(server, task["taskArn"])
    assert running["lastStatus"] == "RUNNING"
    moments = [running[name] for name in ("createdAt", "pullStartedAt", "pullStoppedAt", "startedAt")]
    assert moments == sorted(moments)
    (binding,) = running["containers"][0]["networkBindings"]
    assert binding["containerPort"] == 80 and 32768 <= binding["hostPort"] <= 60999

    waiter = server.start_aws("ecs", "wait", "tasks-stopped", "--tasks", task["taskArn"])
    # A waiter that was started ends when the task stops, and not before.
    time.sleep(2.0)
    assert waiter.poll() is None
    stop = ("ecs", "stop-task", "--task", task["taskArn"], "--reason", "enough of it")
    answer = server.aws(*stop)["task"]
    assert (answer["lastStatus"], answer["desiredStatus"]) == ("RUNNING", "STOPPED")
    assert (answer["stopCode"], answer["stoppedReason"]) == ("UserInitiated", "enough of it")
    ended(waiter, within=60.0)
    (stopped,) = describe(server, task["taskArn"])
    assert (stopped["lastStatus"], stopped["stoppedReason"]) == ("STOPPED", "enough of it")
    assert [c["lastStatus"] for c in stopped["containers"]] == ["STOPPED"]
    assert stopped["startedAt"] <= stopped["stoppingAt"] <= stopped["stoppedAt"]
    assert stopped["version"] > running["version"]
    assert server.containers() == []
    assert server.aws("ecs", "list-tasks") == {"taskArns": []}
    listed = server.aws("ecs", "list-tasks", "--desired-status", "STOPPED")
    assert listed == {"taskArns": [task["taskArn"]]}


def test_pages(server: ServerProcess) -> None:
    """The command line follows nextToken by itself, and gives one of its own for --max-items."""
    ecs = server.client("ecs")
    tasks = ecs.run_task(taskDefinition="web", count=5, startedBy="pages")["tasks"]
    arns = sorted(task["taskArn"] for task in tasks)
    listed = ("ecs", "list-tasks", "--started-by", "pages")
    assert sorted(server.aws(*listed, "--page-size", "2")["taskArns"]) == arns
    first = server.aws(*listed, "--page-size", "2", "--max-items", "3")
    assert len(first["taskArns"]) == 3
    second = server.aws(*listed, "--page-size", "2", "--starting-token", first["NextToken"])
    assert sorted(first["taskArns"] + second["taskArns"]) == arns
    paginator = ecs.get_paginator("list_tasks")
    pages = list(paginator.paginate(startedBy="pages", PaginationConfig={"PageSize": 2}))
    assert [len(page["taskArns"]) for page in pages] == [2, 2, 1]
    for arn in arns:
        ecs.stop_task(task=arn)
    until("five tasks to stop", lambda: all(t["lastStatus"] == "STOPPED" for t in describe(server, *arns)))


def test_a_service_from_creation_to_inactive(server: ServerProcess) -> None:
    create = ("ecs", "create-service", "--service-name", "shop", "--task-definition", "web:1")
    made = server.aws(*create, "--desired-count", "2")["service"]
    assert (made["status"], made["desiredCount"], made["runningCount"]) == ("ACTIVE", 2, 0)
    waiter = server.start_aws("ecs", "wait", "services-stable", "--services", "shop")
    steady = "(service shop) has reached a steady state."

    def events() -> list[str]:
        return [event["message"] for event in service(server, "shop")["events"]]

    until("the steady state", lambda: steady in events())
    stable = service(server, "shop")
    assert (stable["runningCount"], stable["pendingCount"]) == (2, 0)
    (deployment,) = stable["deployments"]
    assert (deployment["status"], deployment["rolloutState"]) == ("PRIMARY", "COMPLETED")
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} completed."
    again = server.aws(*create, "--desired-count", "2")["service"]
    assert again["createdAt"] == made["createdAt"], "the same call again answers with what there is"
    assert "Creation of service was not idempotent." in server.refusal(*create, "--desired-count", "3")
    refusal = server.refusal("ecs", "delete-service", "--service", "shop")
    assert refusal.endswith(
        "An error occurred (InvalidParameterException) when calling the DeleteService operation: "
        "The service cannot be stopped while it is scaled above 0."
    )
    ended(waiter, within=60.0)

    server.aws("ecs", "update-service", "--service", "shop", "--desired-count", "4")
    until("four tasks", lambda: service(server, "shop")["runningCount"] == 4)
    server.aws("ecs", "update-service", "--service", "shop", "--desired-count", "1")
    until("one task", lambda: service(server, "shop")["runningCount"] == 1)
    scaled = service(server, "shop")
    assert [d["id"] for d in scaled["deployments"]] == [deployment["id"]], "scaling is no deployment"
    stopped = server.aws("ecs", "list-tasks", "--service-name", "shop", "--desired-status", "STOPPED")
    reasons = {task["stoppedReason"] for task in describe(server, *stopped["taskArns"])}
    assert reasons == {f"Scaling activity initiated by (deployment {deployment['id']})"}

    update = ("ecs", "update-service", "--service", "shop", "--desired-count", "0")
    server.aws(*update)
    server.aws("ecs", "delete-service", "--service", "shop")
    server.aws("ecs", "wait", "services-inactive", "--services", "shop")
    assert service(server, "shop")["status"] == "INACTIVE"
    assert server.aws("ecs", "list-services") == {"serviceArns": []}
    gone = server.refusal(*update)
    assert "(ServiceNotActiveException)" in gone and gone.endswith("Service was not ACTIVE.")
    missing = server.refusal("ecs", "update-service", "--service", "none", "--desired-count", "0")
    assert "(ServiceNotFoundException)" in missing and missing.endswith("Service not found.")


def test_a_cluster_is_deleted_once_it_is_empty(server: ServerProcess) -> None:
    made = server.aws("ecs", "create-cluster", "--cluster-name", "brief", "--tags", "key=team,value=red")
    assert made["cluster"]["tags"] == [{"key": "team", "value": "red"}]
    assert (made["cluster"]["status"], made["cluster"]["registeredContainerInstancesCount"]) == ("ACTIVE", 0)
    run = ("ecs", "run-task", "--cluster", "brief", "--task-definition", "web")
    assert server.refusal(*run).endswith("No Container Instances were found in your cluster.")

    instance = server.request("POST", "/_miniecs/instances", {"cluster": "brief", "zone": "us-east-1b"})
    ecs = server.client("ecs")
    ecs.create_service(cluster="brief", serviceName="only", taskDefinition="web", desiredCount=1)
    assert _refusal(ecs.delete_cluster, cluster="brief") == (
        "ClusterContainsServicesException",
        "The Cluster cannot be deleted while Services are active.",
    )
    ecs.delete_service(cluster="brief", service="only", force=True)
    until("the service to be INACTIVE", lambda: _inactive(ecs, "brief", "only"))
    (task,) = ecs.run_task(cluster="brief", taskDefinition="web")["tasks"]

    def status(arn: str) -> str:
        (found,) = ecs.describe_tasks(cluster="brief", tasks=[arn])["tasks"]
        return str(found["lastStatus"])

    until("the task to run", lambda: status(task["taskArn"]) == "RUNNING")
    code, _ = _refusal(ecs.delete_cluster, cluster="brief")
    # Which of its two reasons ECS gives first is not published.
    assert code in ("ClusterContainsTasksException", "ClusterContainsContainerInstancesException")
    deregister = (
        *("ecs", "deregister-container-instance", "--cluster", "brief"),
        *("--container-instance", instance["arn"]),
    )
    assert "(InvalidParameterException)" in server.refusal(*deregister)
    gone = server.aws(*deregister, "--force")["containerInstance"]
    assert gone["status"] == "INACTIVE"
    until("the task to be given up", lambda: status(task["taskArn"]) == "STOPPED")
    (stopped,) = ecs.describe_tasks(cluster="brief", tasks=[task["taskArn"]])["tasks"]
    assert stopped["stoppedReason"] == "Container instance deregistration forced by user"
    assert server.aws("ecs", "delete-cluster", "--cluster", "brief")["cluster"]["status"] == "INACTIVE"
    assert ecs.list_clusters()["clusterArns"] == [CLUSTER]
    assert _refusal(ecs.run_task, cluster="brief", taskDefinition="web") == (
        "ClusterNotFoundException",
        "The referenced cluster was inactive.",
    )


def test_instances_keep_a_cluster(server: ServerProcess) -> None:
    assert server.refusal("ecs", "delete-cluster", "--cluster", "default").endswith(
        "(ClusterContainsContainerInstancesException) when calling the DeleteCluster operation: "
        "The Cluster cannot be deleted while Container Instances are active or draining."
    )


def _refusal(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
    """(code, message) of boto3's error."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def _inactive(ecs: Any, cluster: str, name: str) -> bool:
    (found,) = ecs.describe_services(cluster=cluster, services=[name])["services"]
    return bool(found["status"] == "INACTIVE")
