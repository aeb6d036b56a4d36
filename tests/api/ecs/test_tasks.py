"""RunTask, StartTask, StopTask, DescribeTasks, ListTasks: answers, refusals and idempotency."""

from __future__ import annotations

from typing import Any

import pytest

from miniecs.model.task import Task
from miniecs_api.wire.errors import AwsError
from tests.api.conftest import Aws


@pytest.fixture
def cluster(aws: Aws) -> Aws:
    aws.ecs("CreateCluster", clusterName="default")
    aws.register_task_definition("web")
    return aws


def refused(aws: Aws, operation: str, **params: Any) -> tuple[str, str]:
    before = aws.store.seq
    with pytest.raises(AwsError) as error:
        aws.ecs(operation, **params)
    assert aws.store.seq == before, "a refused call wrote something"
    return error.value.code, error.value.message


def test_run_task_answers_at_once_with_placed_tasks(cluster: Aws) -> None:
    instance = cluster.register_instance()
    answer = cluster.ecs("RunTask", taskDefinition="web", startedBy="me", tags=[{"key": "a", "value": "b"}])
    assert answer["failures"] == []
    [task] = answer["tasks"]
    id = task["taskArn"].rsplit("/", 1)[1]
    container_id = task["containers"][0]["containerArn"].rsplit("/", 1)[1]
    shown = {name: value for name, value in task.items() if value not in (None, [])}
    assert shown == {
        "availabilityZone": "us-east-1a",
        "clusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/default",
        "containerInstanceArn": instance,
        "containers": task["containers"],
        "cpu": "128",
        "createdAt": cluster.clock.time,
        "desiredStatus": "RUNNING",
        "enableExecuteCommand": False,
        "group": "family:web",
        "healthStatus": "UNKNOWN",
        "lastStatus": "PENDING",
        "launchType": "EC2",
        "memory": "128",
        "overrides": {"containerOverrides": [{"name": "app"}], "inferenceAcceleratorOverrides": []},
        "startedBy": "me",
        "tags": [{"key": "a", "value": "b"}],
        "taskArn": f"arn:aws:ecs:us-east-1:000000000000:task/default/{id}",
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1",
        "version": 1,
    }
    [container] = task["containers"]
    assert {name: value for name, value in container.items() if value not in (None, [])} == {
        "containerArn": f"arn:aws:ecs:us-east-1:000000000000:container/default/{id}/{container_id}",
        "taskArn": task["taskArn"],
        "name": "app",
        "image": "busybox:latest",
        "lastStatus": "PENDING",
        "healthStatus": "UNKNOWN",
        "cpu": "128",
        "memory": "128",
    }


def test_what_does_not_fit_comes_back_as_a_failure_for_each_host(cluster: Aws) -> None:
    small = cluster.register_instance(memory=200)
    answer = cluster.ecs("RunTask", taskDefinition="web", count=2)
    assert len(answer["tasks"]) == 1
    [failure] = answer["failures"]
    assert failure["arn"] == small
    assert failure["reason"] == "RESOURCE:MEMORY"
    assert "128" in failure["detail"] and "72" in failure["detail"]
    assert cluster.hints, "a failed placement says what would help"


def test_failures_name_every_reason(cluster: Aws) -> None:
    full = cluster.register_instance(cpu=100)
    taken = cluster.register_instance()
    cluster.register_task_definition("port", portMappings=[{"containerPort": 80, "hostPort": 22}])
    reasons = {f["arn"]: f["reason"] for f in cluster.ecs("RunTask", taskDefinition="port")["failures"]}
    assert reasons == {full: "RESOURCE:CPU", taken: "RESOURCE:PORTS"}
    unmet = cluster.ecs(
        "RunTask",
        taskDefinition="web",
        placementConstraints=[{"type": "memberOf", "expression": "attribute:stack == prod"}],
    )["failures"]
    assert {f["reason"] for f in unmet if f["arn"] == taken} == {"MemberOf placement constraint unsatisfied."}


DIGITS = "9" * 5000  # more than Python reads as a number


def override(**of_app: Any) -> dict[str, Any]:
    return {"overrides": {"containerOverrides": [{"name": "app", **of_app}]}}


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"taskDefinition": "none"}, "ClientException", "TaskDefinition not found."),
        ({"cluster": "none"}, "ClusterNotFoundException", "Cluster not found."),
        ({"count": 11}, "InvalidParameterException", "Count must be between 1 and 10."),
        ({"count": 0}, "InvalidParameterException", "Count must be between 1 and 10."),
        (
            {"overrides": {"containerOverrides": [{"name": "x"}]}},
            "InvalidParameterException",
            "Override for container named x is not a container in the TaskDefinition.",
        ),
        (
            override(cpu=-1),
            "InvalidParameterException",
            "Invalid 'cpu' setting for container 'app'.",
        ),
        (
            override(memory=0),
            "InvalidParameterException",
            "Invalid 'memory' setting for container 'app'.",
        ),
        (
            override(memoryReservation=-64),
            "InvalidParameterException",
            "Invalid 'memoryReservation' setting for container 'app'.",
        ),
        (
            override(environment=[{"value": "nameless"}]),
            "InvalidParameterException",
            "Invalid setting for container 'app'. The name of an environment variable must not be null or "
            "empty.",
        ),
        *(
            ({"overrides": {size: n}}, "InvalidParameterException", f"Invalid '{size}' setting for task.")
            for size, n in (("cpu", DIGITS), ("memory", DIGITS))
        ),
        *(
            (
                override(resourceRequirements=[{"type": "GPU", "value": value}]),
                "InvalidParameterException",
                "Invalid setting for container 'app'. The value of resource requirement GPU must be a "
                "positive number or ALL.",
            )
            for value in ("-2", "0", "two", DIGITS)
        ),
        (
            override(resourceRequirements=[{"type": "GPU", "value": "ALL"}]),
            "UnsupportedFeatureException",
            "All GPUs of an instance, and shared ones, are not placed by miniecs yet.",
        ),
        (
            override(resourceRequirements=[{"type": "NeuronDevice", "value": "ALL"}]),
            "UnsupportedFeatureException",
            "Neuron devices are not placed by miniecs yet.",
        ),
        (
            override(resourceRequirements=[{"type": "InferenceAccelerator", "value": "a"}]),
            "UnsupportedFeatureException",
            "Inference accelerators are not supported by miniecs.",
        ),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}},
            "InvalidParameterException",
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ),
        (
            {"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "p"}]},
            "InvalidParameterException",
            "Specify either Launch Type or Capacity Provider Strategy, but not both.",
        ),
        (
            {"propagateTags": "SERVICE"},
            "InvalidParameterException",
            "propagateTags SERVICE is only valid for services.",
        ),
        (
            {"placementStrategy": [{"type": "binpack", "field": "disk"}]},
            "InvalidParameterException",
            "Field must be one of [CPU, MEMORY] for the binpack placement strategy.",
        ),
        (
            {"placementConstraints": [{"type": "distinctInstance", "expression": "x"}]},
            "InvalidParameterException",
            "distinctInstance expression should not be specified.",
        ),
        ({"group": "service:web"}, "InvalidParameterException", "Invalid namespace for group."),
    ],
)
def test_run_task_refuses(cluster: Aws, params: dict[str, Any], code: str, message: str) -> None:
    cluster.register_instance()
    assert refused(cluster, "RunTask", **{"taskDefinition": "web", **params}) == (code, message)


def test_an_empty_cluster_and_an_inactive_definition(cluster: Aws) -> None:
    assert refused(cluster, "RunTask", taskDefinition="web") == (
        "InvalidParameterException",
        "No Container Instances were found in your cluster.",
    )
    cluster.register_instance()
    cluster.ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    assert refused(cluster, "RunTask", taskDefinition="web:1") == (
        "InvalidParameterException",
        "TaskDefinition is inactive",
    )


def test_a_client_token_answers_with_the_same_tasks(cluster: Aws) -> None:
    cluster.register_instance()
    first = cluster.ecs("RunTask", taskDefinition="web", clientToken="t-1")
    again = cluster.ecs("RunTask", taskDefinition="web", clientToken="t-1")
    assert again == first
    with pytest.raises(AwsError) as error:
        cluster.ecs("RunTask", taskDefinition="web", count=2, clientToken="t-1")
    assert error.value.code == "ConflictException"
    assert error.value.message.endswith("clientToken is already in use with a different RunTask request.")
    assert error.value.fields == {"resourceIds": [first["tasks"][0]["taskArn"]]}
    assert cluster.ecs("RunTask", taskDefinition="web", clientToken="t-1", cluster="default") == first
    cluster.ecs("CreateCluster", clusterName="elsewhere")
    cluster.register_instance("elsewhere")
    other = cluster.ecs("RunTask", taskDefinition="web", clientToken="t-1", count=2, cluster="elsewhere")
    assert len(other["tasks"]) == 2, "a token counts in its cluster"
    cluster.clock.time += 24 * 3600 + 1
    assert cluster.ecs("RunTask", taskDefinition="web", clientToken="t-1") != first


def test_a_client_token_ends_with_its_tasks(cluster: Aws) -> None:
    cluster.register_instance()
    [task] = cluster.ecs("RunTask", taskDefinition="web", clientToken="t-1")["tasks"]
    with cluster.store.transaction() as tx:
        tx.delete(Task, task["taskArn"])
    [fresh] = cluster.ecs("RunTask", taskDefinition="web", clientToken="t-1")["tasks"]
    assert fresh["taskArn"] != task["taskArn"]


def test_start_task_goes_where_it_is_told(cluster: Aws) -> None:
    here, there = cluster.register_instance(), cluster.register_instance()
    answer = cluster.ecs("StartTask", taskDefinition="web", containerInstances=[there, "f" * 32])
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == [there]
    assert answer["failures"] == [
        {
            "arn": f"arn:aws:ecs:us-east-1:000000000000:container-instance/default/{'f' * 32}",
            "reason": "MISSING",
        }
    ]
    cluster.ecs("DeregisterContainerInstance", containerInstance=here)
    gone = cluster.ecs("StartTask", taskDefinition="web", containerInstances=[here])
    assert gone == {"tasks": [], "failures": [{"arn": here, "reason": "INACTIVE"}]}


def test_stop_task_answers_before_anything_stopped(cluster: Aws) -> None:
    cluster.register_instance()
    [task] = cluster.ecs("RunTask", taskDefinition="web")["tasks"]
    cluster.ecs("SubmitTaskStateChange", cluster="default", task=task["taskArn"], status="RUNNING")
    cluster.clock.time += 5
    stopped = cluster.ecs("StopTask", task=task["taskArn"], reason="enough")["task"]
    assert {
        name: stopped.get(name)
        for name in ("lastStatus", "desiredStatus", "stopCode", "stoppedReason", "stoppingAt", "stoppedAt")
    } == {
        "lastStatus": "RUNNING",
        "desiredStatus": "STOPPED",
        "stopCode": "UserInitiated",
        "stoppedReason": "enough",
        "stoppingAt": cluster.clock.time,
        "stoppedAt": None,
    }
    cluster.clock.time += 5
    assert cluster.ecs("StopTask", task=task["taskArn"])["task"]["stoppedReason"] == "enough"
    assert refused(cluster, "StopTask", task="none") == (
        "InvalidParameterException",
        "The referenced task was not found.",
    )


def test_stop_task_without_a_reason_says_ecs_own(cluster: Aws) -> None:
    cluster.register_instance()
    [task] = cluster.ecs("RunTask", taskDefinition="web")["tasks"]
    assert cluster.ecs("StopTask", task=task["taskArn"])["task"]["stoppedReason"] == "Task stopped by user"


def test_describe_tasks_by_id_and_arn(cluster: Aws) -> None:
    cluster.register_instance()
    [task] = cluster.ecs("RunTask", taskDefinition="web", tags=[{"key": "a", "value": "b"}])["tasks"]
    id = task["taskArn"].rsplit("/", 1)[1]
    missing = "0" * 32
    answer = cluster.ecs("DescribeTasks", tasks=[id, task["taskArn"], missing], include=["TAGS"])
    assert [found["taskArn"] for found in answer["tasks"]] == [task["taskArn"]] * 2
    assert answer["tasks"][0] == task
    assert answer["failures"] == [
        {"arn": f"arn:aws:ecs:us-east-1:000000000000:task/default/{missing}", "reason": "MISSING"}
    ]
    assert cluster.ecs("DescribeTasks", tasks=[id])["tasks"][0]["tags"] == []
    assert refused(cluster, "DescribeTasks", tasks=[]) == (
        "InvalidParameterException",
        "Tasks cannot be empty.",
    )


def test_list_tasks_filters_on_desired_status_and_pages(cluster: Aws) -> None:
    instance = cluster.register_instance()
    cluster.register_task_definition("other")
    web = cluster.ecs("RunTask", taskDefinition="web", count=3, startedBy="me")["tasks"]
    other = cluster.ecs("RunTask", taskDefinition="other", count=1)["tasks"]
    cluster.ecs("StopTask", task=web[0]["taskArn"])
    running = sorted(task["taskArn"] for task in (*web[1:], *other))

    def listed(**filters: Any) -> list[str]:
        return list(cluster.ecs("ListTasks", **filters)["taskArns"])

    assert listed() == running
    assert listed(desiredStatus="STOPPED") == [web[0]["taskArn"]]
    assert listed(desiredStatus="PENDING") == []
    assert listed(family="other") == [other[0]["taskArn"]]
    assert listed(startedBy="me") == sorted(task["taskArn"] for task in web[1:])
    assert listed(containerInstance=instance) == running
    assert listed(launchType="FARGATE") == []
    assert refused(cluster, "ListTasks", startedBy="me", family="web")[0] == "InvalidParameterException"
    assert refused(cluster, "ListTasks", serviceName="none") == (
        "ServiceNotFoundException",
        "Service not found.",
    )
    page = cluster.ecs("ListTasks", maxResults=2)
    rest = cluster.ecs("ListTasks", maxResults=2, nextToken=page["nextToken"])
    assert page["taskArns"] + rest["taskArns"] == running
    assert rest["nextToken"] is None
    assert refused(cluster, "ListTasks", nextToken="?")[1] == "Invalid token."


def test_devices_that_are_not_counted_are_refused(cluster: Aws) -> None:
    cluster.register_instance()
    for type, value in (("GPU", "ALL"), ("NeuronDevice", "ALL")):
        cluster.register_task_definition("devices", resourceRequirements=[{"type": type, "value": value}])
        assert refused(cluster, "RunTask", taskDefinition="devices")[0] == "UnsupportedFeatureException"


def test_a_gpu_of_an_override_is_counted(cluster: Aws) -> None:
    cluster.register_instance()
    gpu = override(resourceRequirements=[{"type": "GPU", "value": "1"}])
    (failure,) = cluster.ecs("RunTask", taskDefinition="web", **gpu)["failures"]
    assert failure["reason"] == "RESOURCE:GPU"


def test_overrides_count_for_placement_and_show(cluster: Aws) -> None:
    instance = cluster.register_instance()
    [task] = cluster.ecs(
        "RunTask",
        taskDefinition="web",
        overrides={"containerOverrides": [{"name": "app", "memory": 512, "command": ["true"]}]},
    )["tasks"]
    assert (task["memory"], task["containers"][0]["memory"]) == ("512", "512")
    assert task["overrides"]["containerOverrides"] == [{"name": "app", "memory": 512, "command": ["true"]}]
    [shown] = cluster.ecs("DescribeContainerInstances", containerInstances=[instance])["containerInstances"]
    left = {resource["name"]: resource for resource in shown["remainingResources"]}
    assert left["MEMORY"]["integerValue"] == 3953 - 512
    assert left["CPU"]["integerValue"] == 2048 - 128
