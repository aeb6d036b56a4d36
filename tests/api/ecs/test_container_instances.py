"""Container instances: registration as agents do it, draining, deregistering, describing, filtering."""

from __future__ import annotations

import json
from typing import Any

import pytest

from miniecs.model.network import default_subnet_id, default_vpc_id
from miniecs_api.wire.errors import AwsError
from tests.api.conftest import Aws

RESOURCES: list[dict[str, Any]] = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 3953},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "51678"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]


@pytest.fixture
def cluster(aws: Aws) -> Aws:
    aws.ecs("CreateCluster", clusterName="default")
    return aws


def register(aws: Aws, **params: Any) -> dict[str, Any]:
    answer = aws.ecs("RegisterContainerInstance", **{"totalResources": RESOURCES, **params})
    return dict(answer["containerInstance"])


def refused(aws: Aws, operation: str, **params: Any) -> tuple[str, str]:
    before = aws.store.seq
    with pytest.raises(AwsError) as error:
        aws.ecs(operation, **params)
    assert aws.store.seq == before, "a refused call wrote something"
    return error.value.code, error.value.message


def test_an_instance_stands_in_its_zones_default_subnet(cluster: Aws) -> None:
    """Unless its document names another, which is made by that; one that is known decides on the zone."""
    here = {"instanceId": "i-1", "availabilityZone": "us-east-1c"}
    scope, stands = cluster.scope, {}
    other = default_subnet_id(scope, "us-east-1b")
    for n, document in enumerate((here, {**here, "subnetId": "subnet-x"}, {**here, "subnetId": other})):
        document["instanceId"] = f"i-{n}"
        instance = register(cluster, instanceIdentityDocument=json.dumps(document))
        values = {a["name"]: a.get("value") for a in instance["attributes"]}
        stands[values["ecs.subnet-id"]] = (values["ecs.vpc-id"], values["ecs.availability-zone"])
    vpc = default_vpc_id(scope)
    assert stands == {
        default_subnet_id(scope, "us-east-1c"): (vpc, "us-east-1c"),
        "subnet-x": (vpc, "us-east-1c"),
        other: (vpc, "us-east-1b"),
    }


def test_every_attribute_is_echoed_as_the_agent_sent_it(cluster: Aws) -> None:
    sent = [
        {"name": "ecs.capability.task-eni"},
        {"name": "ecs.os-type", "value": "linux"},
        {"name": "stack", "value": "prod"},
    ]
    identity = {
        "instanceId": "i-0123456789abcdef0",
        "instanceType": "t2.small",
        "availabilityZone": "us-east-1c",
        "imageId": "ami-1",
        "privateIp": "10.0.0.7",
        "subnetId": "subnet-1",
    }
    instance = register(cluster, attributes=sent, instanceIdentityDocument=json.dumps(identity))
    attributes = {a["name"]: a.get("value") for a in instance["attributes"]}
    assert attributes == {
        "ecs.capability.task-eni": None,
        "ecs.os-type": "linux",
        "stack": "prod",
        "ecs.ami-id": "ami-1",
        "ecs.availability-zone": "us-east-1c",
        "ecs.instance-type": "t2.small",
        "ecs.vpc-id": default_vpc_id(cluster.scope),
        "ecs.subnet-id": "subnet-1",
    }
    assert instance["ec2InstanceId"] == "i-0123456789abcdef0"
    assert (instance["status"], instance["agentConnected"]) == ("ACTIVE", False)
    amounts = [
        (r["name"], r["integerValue"], r.get("stringSetValue")) for r in instance["registeredResources"]
    ]
    assert amounts == [
        ("CPU", 2048, None),
        ("MEMORY", 3953, None),
        ("PORTS", 0, ["22", "51678"]),
        ("PORTS_UDP", 0, []),
    ]
    assert instance["remainingResources"] == instance["registeredResources"]


def test_an_agent_outside_of_ec2_gets_a_managed_instance_id(cluster: Aws) -> None:
    assert register(cluster)["ec2InstanceId"].startswith("mi-")


def test_registering_again_continues_the_registration(cluster: Aws) -> None:
    first = register(cluster, attributes=[{"name": "stack", "value": "prod"}])
    arn = first["containerInstanceArn"]
    cluster.clock.time += 60
    again = register(cluster, containerInstanceArn=arn, attributes=[{"name": "ecs.capability.efs"}])
    assert again["containerInstanceArn"] == arn
    assert again["registeredAt"] == first["registeredAt"]
    names = {a["name"] for a in again["attributes"]}
    assert {"stack", "ecs.capability.efs"} <= names
    without = register(cluster, containerInstanceArn=arn, attributes=[{"name": "ecs.capability.task-eni"}])
    names = {a["name"] for a in without["attributes"]}
    assert {"stack", "ecs.capability.task-eni"} <= names
    assert "ecs.capability.efs" not in names, "what an agent can no longer do is gone"
    identity = json.dumps({"instanceId": "i-0123456789abcdef0"})
    by_machine = register(cluster, instanceIdentityDocument=identity)
    assert (
        register(cluster, instanceIdentityDocument=identity)["containerInstanceArn"]
        == (by_machine["containerInstanceArn"])
    )
    assert len(cluster.ecs("ListContainerInstances")["containerInstanceArns"]) == 2


def test_a_registration_whose_answer_was_lost_is_repeated_under_its_client_token(cluster: Aws) -> None:
    """Outside of EC2 nothing else tells that it is the same machine's."""
    token = "0351cc44-7a91-4c27-a24a-c8499810ce9b"
    arn = register(cluster, clientToken=token)["containerInstanceArn"]
    assert register(cluster, clientToken=token)["containerInstanceArn"] == arn
    assert register(cluster, clientToken="another")["containerInstanceArn"] != arn
    cluster.ecs("CreateCluster", clusterName="other")
    assert register(cluster, clientToken=token, cluster="other")["containerInstanceArn"] != arn
    text = ("ClientException", "clientToken must have 1 to 64 characters.")
    for nonsense in ("", "t" * 65):
        params = {"clientToken": nonsense, "totalResources": RESOURCES}
        assert refused(cluster, "RegisterContainerInstance", **params) == text


def test_a_client_token_makes_one_instance_in_an_hour_even_when_that_is_gone(cluster: Aws) -> None:
    first = register(cluster, clientToken="t")["containerInstanceArn"]
    cluster.clock.time += 3599
    cluster.ecs("DeregisterContainerInstance", containerInstance=first)
    late = {"clientToken": "t", "totalResources": RESOURCES}
    inactive = ("ClientException", "The referenced container instance is inactive.")
    assert refused(cluster, "RegisterContainerInstance", **late) == inactive
    cluster.clock.time += 1
    assert register(cluster, clientToken="t")["containerInstanceArn"] != first


def test_registration_refuses(cluster: Aws) -> None:
    arn = register(cluster)["containerInstanceArn"]
    bigger = [{**RESOURCES[0], "integerValue": 4096}, *RESOURCES[1:]]
    code, text = refused(
        cluster, "RegisterContainerInstance", containerInstanceArn=arn, totalResources=bigger
    )
    assert code == "ClientException"
    assert text.startswith("Container instance type changes are not supported.")
    assert refused(cluster, "RegisterContainerInstance", totalResources=[])[0] == "ClientException"
    for port in ("65536", "-1", "9" * 5000):
        wrong = {"name": "PORTS", "type": "STRINGSET", "stringSetValue": [port]}
        assert refused(cluster, "RegisterContainerInstance", totalResources=[*RESOURCES[:2], wrong]) == (
            "ClientException",
            "totalResources PORTS must be port numbers.",
        )
    assert refused(cluster, "RegisterContainerInstance", cluster="none", totalResources=RESOURCES) == (
        "ClusterNotFoundException",
        "Cluster not found.",
    )
    assert (
        refused(
            cluster,
            "RegisterContainerInstance",
            totalResources=RESOURCES,
            instanceIdentityDocument="{",
        )[0]
        == "ClientException"
    )
    cluster.ecs("DeregisterContainerInstance", containerInstance=arn)
    assert (
        refused(cluster, "RegisterContainerInstance", containerInstanceArn=arn, totalResources=RESOURCES)[0]
        == "ClientException"
    )


def test_deregister_needs_force_while_tasks_run(cluster: Aws) -> None:
    arn = cluster.register_instance()
    cluster.register_task_definition("web")
    [task] = cluster.ecs("RunTask", taskDefinition="web")["tasks"]
    assert refused(cluster, "DeregisterContainerInstance", containerInstance=arn) == (
        "InvalidParameterException",
        "Found running tasks on the instance.",
    )
    gone = cluster.ecs("DeregisterContainerInstance", containerInstance=arn, force=True)["containerInstance"]
    assert (gone["status"], gone["agentConnected"]) == ("INACTIVE", False)
    [orphan] = cluster.ecs("DescribeTasks", tasks=[task["taskArn"]])["tasks"]
    assert orphan["desiredStatus"] == "STOPPED"
    assert orphan["stoppedReason"] == "Container instance deregistration forced by user"
    assert cluster.ecs("ListContainerInstances")["containerInstanceArns"] == []
    [still] = cluster.ecs("DescribeContainerInstances", containerInstances=[arn])["containerInstances"]
    assert still["status"] == "INACTIVE"


def test_draining_and_back(cluster: Aws) -> None:
    arn = cluster.register_instance()
    answer = cluster.ecs("UpdateContainerInstancesState", containerInstances=[arn, "none"], status="DRAINING")
    assert [instance["status"] for instance in answer["containerInstances"]] == ["DRAINING"]
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]
    assert cluster.ecs("ListContainerInstances", status="DRAINING")["containerInstanceArns"] == [arn]
    assert cluster.ecs("ListContainerInstances", status="ACTIVE")["containerInstanceArns"] == []
    [back] = cluster.ecs("UpdateContainerInstancesState", containerInstances=[arn], status="ACTIVE")[
        "containerInstances"
    ]
    assert (back["status"], back["version"]) == ("ACTIVE", answer["containerInstances"][0]["version"] + 1)
    assert refused(
        cluster, "UpdateContainerInstancesState", containerInstances=[arn], status="REGISTERING"
    ) == (
        "InvalidParameterException",
        "Container instance status should be one of [ACTIVE, DRAINING]",
    )


def test_counts_and_what_remains_follow_the_tasks(cluster: Aws) -> None:
    arn = cluster.register_instance()
    cluster.register_task_definition("web", portMappings=[{"containerPort": 80, "hostPort": 8080}])
    [task] = cluster.ecs("RunTask", taskDefinition="web")["tasks"]

    def shown() -> tuple[int, int, int, int, list[str]]:
        [instance] = cluster.ecs("DescribeContainerInstances", containerInstances=[arn])["containerInstances"]
        left = {r["name"]: r for r in instance["remainingResources"]}
        return (
            instance["pendingTasksCount"],
            instance["runningTasksCount"],
            left["CPU"]["integerValue"],
            left["MEMORY"]["integerValue"],
            left["PORTS"]["stringSetValue"],
        )

    assert shown() == (1, 0, 1920, 3825, ["22", "2375", "8080"])
    cluster.ecs("SubmitTaskStateChange", task=task["taskArn"], status="RUNNING")
    assert shown() == (0, 1, 1920, 3825, ["22", "2375", "8080"])
    cluster.ecs("SubmitTaskStateChange", task=task["taskArn"], status="STOPPED")
    assert shown() == (0, 0, 2048, 3953, ["22", "2375"])


def test_list_with_a_filter(cluster: Aws) -> None:
    a = cluster.register_instance(zone="us-east-1a")
    b = cluster.register_instance(zone="us-east-1b")
    listed = cluster.ecs("ListContainerInstances", filter="attribute:ecs.availability-zone == us-east-1b")
    assert listed["containerInstanceArns"] == [b]
    listed = cluster.ecs("ListContainerInstances", filter="runningTasksCount == 0 and agentConnected == true")
    assert listed["containerInstanceArns"] == sorted([a, b])
    code, text = refused(cluster, "ListContainerInstances", filter="attribute:stack ==")
    assert code == "InvalidParameterException" and text.startswith("Invalid filter expression")


def test_agent_updates_and_poll_endpoint(cluster: Aws) -> None:
    known = cluster.register_instance()
    unknown = register(cluster)["containerInstanceArn"]
    assert (
        refused(cluster, "UpdateContainerAgent", containerInstance=known)[0] == "NoUpdateAvailableException"
    )
    assert refused(cluster, "UpdateContainerAgent", containerInstance=unknown)[0] == "MissingVersionException"
    answer = cluster.ecs("DiscoverPollEndpoint", containerInstance=known, cluster="default")
    assert answer["endpoint"] != answer["telemetryEndpoint"]
    # The only codes in its model are ClientException and ServerException.
    assert refused(cluster, "DiscoverPollEndpoint", cluster="nobody") == (
        "ClientException",
        "Cluster not found.",
    )
    assert refused(cluster, "DiscoverPollEndpoint", containerInstance="nobody") == (
        "ClientException",
        "The referenced container instance was not found.",
    )


def test_reports_about_unknown_tasks_are_dropped_for_good(cluster: Aws) -> None:
    assert refused(cluster, "SubmitTaskStateChange", task="none", status="RUNNING") == (
        "InvalidParameterException",
        "The referenced task was not found.",
    )
    cluster.register_instance()
    cluster.register_task_definition("web")
    [task] = cluster.ecs("RunTask", taskDefinition="web")["tasks"]
    assert refused(cluster, "SubmitTaskStateChange", task=task["taskArn"], status="DANCING")[0] == (
        "InvalidParameterException"
    )


def test_reports_are_monotone_and_idempotent(cluster: Aws) -> None:
    cluster.register_instance()
    cluster.register_task_definition("web", portMappings=[{"containerPort": 80}])
    [task] = cluster.ecs("RunTask", taskDefinition="web")["tasks"]
    binding = {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}
    running = {
        "task": task["taskArn"],
        "status": "RUNNING",
        "containers": [
            {
                "containerName": "app",
                "runtimeId": "abc",
                "status": "RUNNING",
                "networkBindings": [binding],
            }
        ],
    }
    stopped = {
        "task": task["taskArn"],
        "status": "STOPPED",
        "containers": [{"containerName": "app", "status": "STOPPED", "exitCode": 3}],
    }

    def shown() -> dict[str, Any]:
        [found] = cluster.ecs("DescribeTasks", tasks=[task["taskArn"]])["tasks"]
        return dict(found)

    cluster.clock.time += 1
    cluster.ecs("SubmitTaskStateChange", **running)
    after = shown()
    assert (after["lastStatus"], after["startedAt"]) == ("RUNNING", cluster.clock.time)
    bindings = [
        {name: value for name, value in shown_binding.items() if value is not None}
        for shown_binding in after["containers"][0]["networkBindings"]
    ]
    assert bindings == [binding]
    seq = cluster.store.seq
    cluster.ecs("SubmitTaskStateChange", **running)
    assert (shown(), cluster.store.seq) == (after, seq)
    cluster.ecs("SubmitTaskStateChange", **stopped)
    end = shown()
    assert (end["lastStatus"], end["stopCode"], end["stoppedReason"], end["containers"][0]["exitCode"]) == (
        "STOPPED",
        "EssentialContainerExited",
        "Essential container in task exited",
        3,
    )
    cluster.ecs("SubmitTaskStateChange", **running)
    assert shown() == end
