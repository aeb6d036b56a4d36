"""Create, update, delete, describe and list services: the spec as it is written, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.service import Service
from miniecs_api.wire.errors import AwsError
from tests.api.conftest import Aws

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
NO_ROLE_ACCESS = (
    "Unable to assume role and validate the specified targetGroupArn. "
    "Please verify that the ECS service role being passed has the proper permissions."
)


def create(aws: Aws, **params: Any) -> dict[str, Any]:
    service = aws.ecs(
        "CreateService", **{"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, **params}
    )["service"]
    return dict(service)


def refused(aws: Aws, operation: str, /, **params: Any) -> tuple[str, str]:
    before = aws.store.seq
    with pytest.raises(AwsError) as error:
        aws.ecs(operation, **params)
    assert aws.store.seq == before, "a refused call wrote something"
    if error.value.hint:
        aws.hints = [error.value.hint]
    return error.value.code, error.value.message


def balanced(aws: Aws, target_type: str = "instance") -> tuple[str, str]:
    """A target group behind a listener; (target group's ARN, load balancer's ARN)."""
    balancer = aws.elbv2("CreateLoadBalancer", Name="lb", Subnets=["subnet-0000000a", "subnet-0000000b"])
    balancer_arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    group_arn = target_group(aws, "tg", target_type)
    aws.elbv2(
        "CreateListener",
        LoadBalancerArn=balancer_arn,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group_arn}],
    )
    return group_arn, balancer_arn


def target_group(aws: Aws, name: str, target_type: str = "instance") -> str:
    group = aws.elbv2(
        "CreateTargetGroup",
        Name=name,
        Protocol="HTTP",
        Port=80,
        VpcId="vpc-00000001",
        TargetType=target_type,
    )
    return str(group["TargetGroups"][0]["TargetGroupArn"])


def test_a_new_service_has_one_deployment_in_progress(cluster: Aws) -> None:
    service = create(cluster, tags=[{"key": "a", "value": "b"}])
    [deployment] = service["deployments"]
    definition = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1"
    assert {name: value for name, value in service.items() if value not in (None, [])} == {
        "serviceArn": "arn:aws:ecs:us-east-1:000000000000:service/default/web",
        "serviceName": "web",
        "clusterArn": CLUSTER,
        "status": "ACTIVE",
        "desiredCount": 2,
        "runningCount": 0,
        "pendingCount": 0,
        "launchType": "EC2",
        "taskDefinition": definition,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {
                "enable": False,
                "rollback": False,
                "resetOnHealthyTask": True,
                "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
            },
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
            "strategy": "ROLLING",
            "bakeTimeInMinutes": 0,
        },
        "deployments": [deployment],
        "currentServiceDeployment": service["currentServiceDeployment"],
        "currentServiceRevisions": service["currentServiceRevisions"],
        "createdAt": cluster.clock.time,
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "createdBy": "arn:aws:iam::000000000000:root",
        "enableECSManagedTags": False,
        "propagateTags": "NONE",
        "enableExecuteCommand": False,
        "availabilityZoneRebalancing": "ENABLED",
        "tags": [{"key": "a", "value": "b"}],
    }
    assert {name: value for name, value in deployment.items() if value is not None} == {
        "id": deployment["id"],
        "status": "PRIMARY",
        "taskDefinition": definition,
        "desiredCount": 2,
        "pendingCount": 0,
        "runningCount": 0,
        "failedTasks": 0,
        "createdAt": cluster.clock.time,
        "updatedAt": cluster.clock.time,
        "launchType": "EC2",
        "rolloutState": "IN_PROGRESS",
        "rolloutStateReason": f"ECS deployment {deployment['id']} in progress.",
    }
    assert deployment["id"].startswith("ecs-svc/") and len(deployment["id"]) == len("ecs-svc/") + 19


def test_the_same_call_again_answers_and_another_is_refused(cluster: Aws) -> None:
    first = create(cluster)
    assert create(cluster) == first
    assert refused(cluster, "CreateService", serviceName="web", taskDefinition="web", desiredCount=3) == (
        "InvalidParameterException",
        "Creation of service was not idempotent.",
    )
    assert "desired_count" in cluster.hints[0]


def test_a_client_token_answers_with_the_service_that_it_made(cluster: Aws) -> None:
    first = create(cluster, clientToken="t-1")
    cluster.ecs("UpdateService", service="web", desiredCount=5)
    seq = cluster.store.seq
    again = create(cluster, clientToken="t-1")
    assert (again["serviceArn"], again["desiredCount"], cluster.store.seq) == (first["serviceArn"], 5, seq)
    assert create(cluster, clientToken="t-1", cluster="default") == again, "it is the same cluster"
    differs = ("InvalidParameterException", "Creation of service was not idempotent.")
    given = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 2}
    assert refused(cluster, "CreateService", **given) == differs, "without the token it is another call"
    assert refused(cluster, "CreateService", **given, clientToken="t-2") == differs
    for other in ({"desiredCount": 5}, {"serviceName": "other"}, {"propagateTags": "SERVICE"}):
        assert refused(cluster, "CreateService", **{**given, **other}, clientToken="t-1") == differs
        assert "This clientToken made service web" in cluster.hints[0]
    cluster.ecs("CreateCluster", clusterName="elsewhere")
    elsewhere = create(cluster, clientToken="t-1", cluster="elsewhere")
    assert elsewhere["serviceArn"] != first["serviceArn"], "a token counts in its cluster"
    cluster.clock.time += 24 * 3600 + 1
    assert refused(cluster, "CreateService", **given, clientToken="t-1") == differs, "it lives for a day"


def test_a_client_token_ends_with_its_service(cluster: Aws) -> None:
    create(cluster, clientToken="t-1")
    cluster.ecs("DeleteService", service="web", force=True)
    given = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "clientToken": "t-1"}
    assert refused(cluster, "CreateService", **given) == (
        "InvalidParameterException",
        "Unable to Start a service that is still Draining.",
    )
    with cluster.store.transaction() as tx:
        draining = tx.get(Service, arns.service(cluster.scope, "default", "web"))
        assert draining is not None
        tx.put(replace(draining, status="INACTIVE", deployments=()))
    assert create(cluster, clientToken="t-1", desiredCount=3)["desiredCount"] == 3
    assert refused(cluster, "CreateService", **given)[1] == "Creation of service was not idempotent."


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"taskDefinition": None}, "TaskDefinition can not be blank."),
        ({"desiredCount": None}, "desiredCount must be specified for the REPLICA scheduling strategy."),
        (
            {"schedulingStrategy": "DAEMON"},
            "The daemon scheduling strategy does not support a desired count for services. "
            "Remove the desired count value and try again",
        ),
        (
            {
                "schedulingStrategy": "DAEMON",
                "desiredCount": None,
                "placementStrategy": [{"type": "random"}],
            },
            "Placement strategies are not supported with the DAEMON scheduling strategy.",
        ),
        (
            {"role": "ecsServiceRole"},
            "IAM roles are only valid for services configured to use load balancers.",
        ),
        (
            {"deploymentConfiguration": {"maximumPercent": 99}},
            "maximumPercent must be greater than or equal to 100.",
        ),
        (
            {"deploymentConfiguration": {"minimumHealthyPercent": 101}},
            "minimumHealthyPercent must be between 0 and 100.",
        ),
        ({"serviceName": "a b"}, None),
        (
            {"availabilityZoneRebalancing": "ENABLED", "placementStrategy": [{"type": "random"}]},
            "AvailabilityZoneRebalancing does not support random as the first placement strategy",
        ),
        (
            {
                "availabilityZoneRebalancing": "ENABLED",
                "deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 50},
            },
            "AvailabilityZoneRebalancing does not support maximumPercent <= 100",
        ),
        (
            {
                "availabilityZoneRebalancing": "ENABLED",
                "schedulingStrategy": "DAEMON",
                "desiredCount": None,
            },
            "AvailabilityZoneRebalancing does not support the DAEMON scheduling strategy",
        ),
    ],
)
def test_create_service_refuses(cluster: Aws, params: dict[str, Any], message: str | None) -> None:
    given = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, **params}
    given = {name: value for name, value in given.items() if value is not None}
    code, text = refused(cluster, "CreateService", **given)
    assert code == "InvalidParameterException"
    assert message is None or text == message


@pytest.mark.parametrize(
    "params",
    [
        {"deploymentConfiguration": {"strategy": "BLUE_GREEN"}},
        {"deploymentConfiguration": {"strategy": "LINEAR"}},
        {"deploymentConfiguration": {"strategy": "CANARY"}},
        {"deploymentConfiguration": {"lifecycleHooks": [{"targetType": "PAUSE"}]}},
        {"serviceRegistries": [{"registryArn": "x"}]},
        {"serviceConnectConfiguration": {"enabled": True}},
        {"launchType": "FARGATE"},
    ],
)
def test_what_nothing_acts_on_is_refused_and_not_stored(cluster: Aws, params: dict[str, Any]) -> None:
    code, _ = refused(
        cluster, "CreateService", serviceName="web", taskDefinition="web", desiredCount=1, **params
    )
    # A definition that is not compatible with Fargate is ECS's own refusal; the rest are ours.
    assert code == (
        "InvalidParameterException" if params == {"launchType": "FARGATE"} else "UnsupportedFeatureException"
    )


def test_load_balancers_are_checked_in_ecs_words(cluster: Aws) -> None:
    group, balancer = balanced(cluster)
    lonely = target_group(cluster, "lonely")
    by_address = target_group(cluster, "ip", "ip")

    def answer(**balancer_params: Any) -> str:
        given = {"targetGroupArn": group, "containerName": "app", "containerPort": 80, **balancer_params}
        params = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "loadBalancers": [given]}
        code, text = refused(cluster, "CreateService", **params)
        assert code == "InvalidParameterException"
        return text

    assert answer(containerName="x") == "The container x does not exist in the task definition."
    assert answer(containerPort=81) == "The container app did not have a container port 81 defined."
    assert answer(targetGroupArn=lonely) == (
        f"The target group with targetGroupArn {lonely} does not have an associated load balancer."
    )
    assert answer(targetGroupArn=balancer) == NO_ROLE_ACCESS
    assert "is a load balancer's ARN" in cluster.hints[0]
    assert answer(targetGroupArn=group[:-1] + "0") == NO_ROLE_ACCESS
    assert "There is no target group" in cluster.hints[0]
    assert answer(targetGroupArn=by_address) == (
        "The provided target group ARN has target type ip, which is incompatible with the bridge "
        "network mode specified in the task definition."
    )
    assert answer(targetGroupArn="lonely") == NO_ROLE_ACCESS
    assert cluster.hints == [f"lonely is a target group's name; its ARN belongs here: {lonely}"]
    name = balancer.split("/")[2]
    assert answer(targetGroupArn=name) == NO_ROLE_ACCESS
    assert cluster.hints == [f"{name} is a load balancer's name; a target group's ARN belongs here."]
    for classic in (name, "old"):
        assert answer(loadBalancerName=classic) == f"The load balancer {classic} does not exist."
        assert "Classic Load Balancers" in cluster.hints[0]
    assert answer(containerName=None) == "Container Name can not be blank."
    assert answer(containerPort=None) == "Container Port can not be blank."
    good = {"targetGroupArn": group, "containerName": "app", "containerPort": 80}
    many = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}
    assert refused(cluster, "CreateService", **many, loadBalancers=[good] * 6)[1] == (
        "load balancers can have at most 5 items."
    )
    assert refused(cluster, "CreateService", **many, loadBalancers=[good] * 2, role="ecsServiceRole")[1] == (
        "You cannot specify an IAM role for services that require a service linked role."
    )
    service = create(cluster, loadBalancers=[good], role="ecsServiceRole", healthCheckGracePeriodSeconds=30)
    assert service["loadBalancers"] == [good]
    assert service["roleArn"] == "arn:aws:iam::000000000000:role/ecsServiceRole"
    assert service["healthCheckGracePeriodSeconds"] == 30


def test_which_updates_make_a_deployment(cluster: Aws) -> None:
    create(cluster)
    cluster.register_task_definition("web", portMappings=[{"containerPort": 80}])
    cluster.clock.time += 10

    def deployments(**params: Any) -> int:
        return len(cluster.ecs("UpdateService", service="web", **params)["service"]["deployments"])

    assert deployments(desiredCount=3) == 1
    assert deployments(deploymentConfiguration={"maximumPercent": 150, "minimumHealthyPercent": 50}) == 1
    packed = [{"type": "binpack", "field": "MEMORY"}]
    assert deployments(placementStrategy=packed, availabilityZoneRebalancing="DISABLED") == 1
    assert deployments(taskDefinition="web:1") == 1
    assert deployments(taskDefinition="web:2") == 2
    assert deployments(forceNewDeployment=True) == 3
    [service] = cluster.ecs("DescribeServices", services=["web"])["services"]
    assert [d["status"] for d in service["deployments"]] == ["PRIMARY", "ACTIVE", "ACTIVE"]
    assert [d["desiredCount"] for d in service["deployments"]][0] == 3
    assert service["placementStrategy"] == [{"type": "binpack", "field": "memory"}]
    assert service["deploymentConfiguration"]["maximumPercent"] == 150
    assert service["taskDefinition"].endswith("web:2")


def test_zones_are_rebalanced_unless_the_settings_or_the_caller_say_otherwise(cluster: Aws) -> None:
    def made(name: str, **params: Any) -> str:
        return str(create(cluster, serviceName=name, **params)["availabilityZoneRebalancing"])

    spread = [{"type": "spread", "field": "attribute:ecs.availability-zone"}]
    packed = [{"type": "binpack", "field": "memory"}]
    assert made("usual") == made("spread", placementStrategy=spread + packed) == "ENABLED"
    assert made("told", availabilityZoneRebalancing="DISABLED") == "DISABLED"
    assert made("packed", placementStrategy=packed + spread) == "DISABLED"
    assert made("tight", deploymentConfiguration={"maximumPercent": 100}) == "DISABLED"


def test_updates_keep_rebalancing_and_what_it_does_not_support_is_refused(cluster: Aws) -> None:
    def updated(name: str, **params: Any) -> str:
        service = cluster.ecs("UpdateService", service=name, **params)["service"]
        assert len(service["deployments"]) == 1, "no deployment is made of it"
        return str(service["availabilityZoneRebalancing"])

    create(cluster)
    tight = {"deploymentConfiguration": {"maximumPercent": 100}}
    refusal = "AvailabilityZoneRebalancing does not support maximumPercent <= 100"
    assert updated("web", desiredCount=3) == "ENABLED"
    assert refused(cluster, "UpdateService", service="web", **tight)[1] == refusal
    assert updated("web", availabilityZoneRebalancing="DISABLED", **tight) == "DISABLED"
    assert updated("web", desiredCount=2) == "DISABLED"
    enabled = {"availabilityZoneRebalancing": "ENABLED"}
    assert refused(cluster, "UpdateService", service="web", **enabled)[1] == refusal
    wide = {"deploymentConfiguration": {"maximumPercent": 150}}
    assert updated("web", **wide) == "DISABLED"
    assert updated("web", **enabled) == "ENABLED"


def test_update_refuses(cluster: Aws) -> None:
    create(cluster)
    assert refused(cluster, "UpdateService", service="none") == (
        "ServiceNotFoundException",
        "Service not found.",
    )
    assert refused(cluster, "UpdateService", service="web", taskDefinition="none") == (
        "ClientException",
        "TaskDefinition not found.",
    )
    cluster.register_task_definition("web", portMappings=[{"containerPort": 80}])
    cluster.ecs("DeregisterTaskDefinition", taskDefinition="web:2")
    assert refused(cluster, "UpdateService", service="web", taskDefinition="web:2") == (
        "ClientException",
        "TaskDefinition is inactive",
    )
    cluster.ecs("DeleteService", service="web", force=True)
    assert refused(cluster, "UpdateService", service="web", desiredCount=1) == (
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    )


def test_a_service_may_scale_on_an_inactive_definition(cluster: Aws) -> None:
    create(cluster)
    cluster.ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    assert cluster.ecs("UpdateService", service="web", desiredCount=5)["service"]["desiredCount"] == 5


def test_delete_needs_scale_zero_or_force(cluster: Aws) -> None:
    create(cluster)
    assert refused(cluster, "DeleteService", service="web") == (
        "InvalidParameterException",
        "The service cannot be stopped while it is scaled above 0.",
    )
    gone = cluster.ecs("DeleteService", service="web", force=True)["service"]
    assert (gone["status"], gone["desiredCount"]) == ("DRAINING", 0)
    assert cluster.ecs("ListServices")["serviceArns"] == []
    assert refused(cluster, "CreateService", serviceName="web", taskDefinition="web", desiredCount=1) == (
        "InvalidParameterException",
        "Unable to Start a service that is still Draining.",
    )
    assert refused(cluster, "DeleteService", service="none") == (
        "ServiceNotFoundException",
        "Service not found.",
    )


def test_describe_and_list(cluster: Aws) -> None:
    names = [f"s{number:02}" for number in range(12)]
    for name in names:
        create(cluster, serviceName=name, desiredCount=0)
    page = cluster.ecs("ListServices")
    assert [arn.rsplit("/", 1)[1] for arn in page["serviceArns"]] == names[:10]
    rest = cluster.ecs("ListServices", nextToken=page["nextToken"])
    assert [arn.rsplit("/", 1)[1] for arn in rest["serviceArns"]] == names[10:]
    assert rest["nextToken"] is None
    assert cluster.ecs("ListServices", schedulingStrategy="DAEMON")["serviceArns"] == []
    answer = cluster.ecs("DescribeServices", services=["s00", "none"])
    assert [service["serviceName"] for service in answer["services"]] == ["s00"]
    assert answer["failures"] == [
        {"arn": "arn:aws:ecs:us-east-1:000000000000:service/default/none", "reason": "MISSING"}
    ]
    assert refused(cluster, "DescribeServices", services=names[:11])[0] == "InvalidParameterException"
