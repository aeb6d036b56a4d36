"""Task sets and the controllers that have them: what their operations write, answer and refuse."""

from __future__ import annotations

from typing import Any

import pytest

from miniecs.config import Timing
from miniecs.model.task_set import TaskSet
from miniecs.reconciler import Reconciler
from miniecs_api.wire.outputs import problems
from tests.api.conftest import Aws

from .conftest import Ecs
from .test_services import CLUSTER, balanced, refused

SERVICE = "arn:aws:ecs:us-east-1:000000000000:service/default/web"
TASK_SET = "arn:aws:ecs:us-east-1:000000000000:task-set/default/web/ecs-svc/"
EXTERNAL = {"deploymentController": {"type": "EXTERNAL"}}
CODE_DEPLOY = {"deploymentController": {"type": "CODE_DEPLOY"}}
NAMED = {"cluster": "default", "service": "web"}
INVALID = "InvalidParameterException"
NOT_MANAGED = (
    "Amazon ECS only supports task set management on services configured to use external deployment "
    "controllers."
)


def scale(value: float) -> dict[str, Any]:
    return {"scale": {"value": value, "unit": "PERCENT"}}


@pytest.fixture
def external(cluster: Aws) -> Aws:
    cluster.ecs("CreateService", serviceName="web", desiredCount=3, **EXTERNAL)
    return cluster


def called(aws: Aws, operation: str, **params: Any) -> dict[str, Any]:
    aws.clock.time += 1
    answer = aws.ecs(operation, **NAMED, **params)
    assert problems("ecs", operation, answer) == []
    return answer


def make(aws: Aws, **params: Any) -> dict[str, Any]:
    return dict(called(aws, "CreateTaskSet", **{"taskDefinition": "web", **params})["taskSet"])


def shown(aws: Aws) -> dict[str, Any]:
    answer = aws.ecs("DescribeServices", services=["web"])
    assert problems("ecs", "DescribeServices", answer) == []
    return {name: value for name, value in answer["services"][0].items() if value is not None}


def settle(aws: Aws) -> None:
    reconciler = Reconciler(aws.store, aws.fleets, aws.ids, Timing())
    for _ in range(3):
        aws.clock.time += 1
        reconciler.step(aws.clock.time)
    reconciler.close()


def test_an_external_service_begins_with_nothing_to_run(external: Aws) -> None:
    service = shown(external)
    assert (service["taskSets"], service["deployments"]) == ([], [])
    assert "taskDefinition" not in service
    assert (service["launchType"], service["desiredCount"]) == ("EC2", 3)
    assert service["deploymentController"] == {"type": "EXTERNAL"}
    again = external.ecs("CreateService", serviceName="web", desiredCount=3, **EXTERNAL)["service"]
    assert again["createdAt"] == service["createdAt"]


def test_only_the_name_of_an_external_service_is_required(cluster: Aws) -> None:
    assert cluster.ecs("CreateService", serviceName="web", **EXTERNAL)["service"]["desiredCount"] == 0


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"taskDefinition": "web"}, "TaskDefinition must be blank"),
        ({"taskDefinition": ""}, "Family should not be null or empty."),
        (
            {"loadBalancers": [{"containerName": "app", "containerPort": 80}]},
            "LoadBalancers must be empty or null.",
        ),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}},
            "NetworkConfiguration must be null.",
        ),
        ({"launchType": "EC2"}, "LaunchType must be null."),
        ({"platformVersion": "LATEST"}, "PlatformVersion must be null."),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
            "CapacityProviderStrategy must be empty or null.",
        ),
        ({"role": "ecsServiceRole"}, "Role must be null."),
        (
            {"schedulingStrategy": "DAEMON"},
            "The daemon scheduling strategy is not supported with the EXTERNAL deployment controller.",
        ),
        (
            {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}},
            "The deployment circuit breaker can only be used with the ECS deployment controller.",
        ),
        (
            {"availabilityZoneRebalancing": "ENABLED"},
            "AvailabilityZoneRebalancing does not support the EXTERNAL deployment controller",
        ),
    ],
)
def test_what_an_external_service_cannot_have(cluster: Aws, params: dict[str, Any], message: str) -> None:
    assert refused(cluster, "CreateService", serviceName="web", **EXTERNAL, **params) == (INVALID, message)


def test_a_task_set_as_it_is_written_and_shown(external: Aws) -> None:
    made = make(external, externalId="mine", tags=[{"key": "a", "value": "b"}], **scale(50))
    id = made["id"].removeprefix("ecs-svc/")
    assert len(id) == 19 and id.isdigit()
    assert {name: value for name, value in made.items() if value is not None} == {
        "id": f"ecs-svc/{id}",
        "taskSetArn": TASK_SET + id,
        "serviceArn": SERVICE,
        "clusterArn": CLUSTER,
        "externalId": "mine",
        "status": "ACTIVE",
        "taskDefinition": "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1",
        "computedDesiredCount": 0,
        "pendingCount": 0,
        "runningCount": 0,
        "createdAt": external.clock.time,
        "updatedAt": external.clock.time,
        "launchType": "EC2",
        "loadBalancers": [],
        "serviceRegistries": [],
        "scale": {"value": 50.0, "unit": "PERCENT"},
        "stabilityStatus": "STABILIZING",
        "stabilityStatusAt": external.clock.time,
        "tags": [{"key": "a", "value": "b"}],
    }
    plain = {name: value for name, value in made.items() if name != "tags"}
    assert called(external, "DescribeTaskSets") == {"taskSets": [plain], "failures": []}
    for name in (made["id"], made["taskSetArn"]):
        found = called(external, "DescribeTaskSets", taskSets=[name], include=["TAGS"])
        assert found == {"taskSets": [made], "failures": []}
    assert shown(external)["taskSets"] == [plain]
    tags = external.ecs("ListTagsForResource", resourceArn=made["taskSetArn"])["tags"]
    assert tags == [{"key": "a", "value": "b"}]
    nobody = called(external, "DescribeTaskSets", taskSets=["ecs-svc/1"])
    assert nobody == {"taskSets": [], "failures": [{"arn": TASK_SET + "1", "reason": "MISSING"}]}


def test_the_same_token_makes_one_task_set(external: Aws) -> None:
    first = make(external, clientToken="t", **scale(50))
    assert make(external, clientToken="t", **scale(50)) == first
    code, _ = refused(external, "CreateTaskSet", **NAMED, taskDefinition="web", clientToken="t")
    assert code == INVALID
    assert len(shown(external)["taskSets"]) == 1


def test_a_service_has_at_most_five_task_sets(external: Aws) -> None:
    for _ in range(5):
        make(external)
    assert refused(external, "CreateTaskSet", **NAMED, taskDefinition="web") == (
        INVALID,
        "5 deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum "
        "limit.",
    )


@pytest.mark.parametrize("value", [-1, 100.5, float("nan")])
def test_a_scale_is_a_percentage(external: Aws, value: float) -> None:
    params = {**NAMED, "taskDefinition": "web", **scale(value)}
    assert refused(external, "CreateTaskSet", **params) == (
        INVALID,
        "The value of scale must be between 0 and 100.",
    )


def test_what_a_task_set_runs_is_checked_as_that_of_a_service(external: Aws) -> None:
    group, _ = balanced(external)
    good = {"targetGroupArn": group, "containerName": "app", "containerPort": 80}

    def answer(**params: Any) -> tuple[str, str]:
        return refused(external, "CreateTaskSet", **NAMED, **{"taskDefinition": "web", **params})

    assert answer(taskDefinition="nobody") == ("ClientException", "TaskDefinition not found.")
    assert answer(loadBalancers=[{**good, "containerName": "x"}]) == (
        INVALID,
        "The container x does not exist in the task definition.",
    )
    assert answer(loadBalancers=[good, good]) == (INVALID, "load balancers can have at most 1 items.")
    assert answer(launchType="FARGATE") == (INVALID, "Task definition does not support launch_type FARGATE.")
    assert answer(serviceRegistries=[{"registryArn": "x"}])[0] == "UnsupportedFeatureException"
    refusal = "clientToken must have 1 to 36 ASCII characters in the range of 33-126."
    assert answer(clientToken="t" * 37) == (INVALID, refusal)
    assert make(external, loadBalancers=[good])["loadBalancers"] == [good]


def test_scaling_a_task_set_or_its_service_unsettles_it_until_it_is_there(external: Aws) -> None:
    made = make(external)
    settle(external)
    (before,) = shown(external)["taskSets"]
    assert (before["computedDesiredCount"], before["stabilityStatus"]) == (0, "STEADY_STATE")
    updated = called(external, "UpdateTaskSet", taskSet=made["id"], **scale(50))["taskSet"]
    assert updated["scale"] == {"value": 50.0, "unit": "PERCENT"}
    assert (updated["computedDesiredCount"], updated["stabilityStatus"]) == (0, "STABILIZING")
    assert updated["updatedAt"] == updated["stabilityStatusAt"] == external.clock.time
    settle(external)
    (after,) = shown(external)["taskSets"]
    assert (after["computedDesiredCount"], after["stabilityStatus"]) == (2, "STABILIZING")
    called(external, "UpdateTaskSet", taskSet=made["id"], **scale(0))
    settle(external)
    assert shown(external)["taskSets"][0]["stabilityStatus"] == "STEADY_STATE"
    called(external, "UpdateTaskSet", taskSet=made["id"], **scale(100))
    external.ecs("UpdateService", service="web", desiredCount=0)
    settle(external)
    external.ecs("UpdateService", service="web", desiredCount=5)
    assert shown(external)["taskSets"][0]["stabilityStatus"] == "STABILIZING"
    settle(external)
    assert shown(external)["taskSets"][0]["computedDesiredCount"] == 5


def test_the_service_shows_what_its_primary_task_set_runs(external: Aws) -> None:
    external.register_task_definition("web", portMappings=[{"containerPort": 80}])
    first, second = make(external, taskDefinition="web:1"), make(external, taskDefinition="web:2")
    for made, other in ((first, second), (second, first)):
        answer = called(external, "UpdateServicePrimaryTaskSet", primaryTaskSet=made["taskSetArn"])
        assert answer["taskSet"]["status"] == "PRIMARY"
        service = shown(external)
        assert service["taskDefinition"] == made["taskDefinition"]
        statuses = {each["id"]: each["status"] for each in service["taskSets"]}
        assert statuses == {made["id"]: "PRIMARY", other["id"]: "ACTIVE"}
    seq = external.store.seq
    called(external, "UpdateServicePrimaryTaskSet", primaryTaskSet=second["id"])
    assert external.store.seq == seq
    again = external.ecs("CreateService", serviceName="web", desiredCount=3, **EXTERNAL)["service"]
    assert again["taskDefinition"] == second["taskDefinition"]


def test_a_task_set_in_use_is_deleted_by_force_only(external: Aws) -> None:
    made = make(external, **scale(50))
    delete = {**NAMED, "taskSet": made["id"]}
    assert refused(external, "DeleteTaskSet", **delete) == (
        INVALID,
        "The task set cannot be deleted while it is scaled above 0.",
    )
    called(external, "UpdateTaskSet", taskSet=made["id"], **scale(0))
    called(external, "UpdateServicePrimaryTaskSet", primaryTaskSet=made["id"])
    assert refused(external, "DeleteTaskSet", **delete) == (INVALID, "Primary TaskSet cannot be deleted")
    gone = called(external, "DeleteTaskSet", taskSet=made["id"], force=True)["taskSet"]
    assert gone["status"] == "DRAINING"
    assert called(external, "DeleteTaskSet", taskSet=made["id"])["taskSet"] == gone
    draining = (INVALID, f"The task set {made['id']} is DRAINING and cannot be updated.")
    assert refused(external, "UpdateTaskSet", **delete, **scale(5)) == draining
    promote = {**NAMED, "primaryTaskSet": made["id"]}
    assert refused(external, "UpdateServicePrimaryTaskSet", **promote) == draining
    settle(external)
    assert shown(external)["taskSets"] == []
    assert refused(external, "DeleteTaskSet", **delete) == ("TaskSetNotFoundException", "TaskSet not found.")


OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("CreateTaskSet", {"taskDefinition": "web"}),
    ("UpdateTaskSet", {"taskSet": "ecs-svc/1", **scale(1)}),
    ("DeleteTaskSet", {"taskSet": "ecs-svc/1"}),
    ("DescribeTaskSets", {}),
    ("UpdateServicePrimaryTaskSet", {"primaryTaskSet": "ecs-svc/1"}),
]


@pytest.mark.parametrize(("operation", "params"), OPERATIONS)
def test_the_service_must_be_there_active_and_not_ecs_own(
    ecs: Ecs, cluster: Aws, operation: str, params: dict[str, Any]
) -> None:
    def answer(**named: str) -> tuple[str, str]:
        return ecs.refusal(operation, **{**NAMED, **named}, **params)

    assert answer(cluster="x") == ("ClusterNotFoundException", "Cluster not found.")
    assert answer() == ("ServiceNotFoundException", "Service not found.")
    cluster.ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=0)
    assert answer() == (INVALID, NOT_MANAGED)
    cluster.ecs("CreateService", serviceName="own", **EXTERNAL)
    if operation not in ("CreateTaskSet", "DescribeTaskSets"):
        missing = ("TaskSetNotFoundException", "TaskSet not found.")
        assert answer(service="own") == missing
    cluster.ecs("DeleteService", service="own")
    assert answer(service="own") == ("ServiceNotActiveException", "Service was not ACTIVE.")


def test_the_task_set_of_another_service_is_not_found(external: Aws) -> None:
    made = make(external)
    external.ecs("CreateService", serviceName="other", **EXTERNAL)
    named = {"cluster": "default", "service": "other"}
    for name in (made["id"], made["taskSetArn"]):
        code, _ = refused(external, "UpdateTaskSet", **named, taskSet=name, **scale(1))
        assert code == "TaskSetNotFoundException"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"taskDefinition": "web"}, "Unable to update task definition on services with {}"),
        ({"networkConfiguration": {}}, "Unable to update network parameters on services with {}"),
        ({"loadBalancers": []}, "Unable to update load balancers on services with {}"),
        ({"platformVersion": "LATEST"}, "Unable to update platform version on services with {}"),
        ({"forceNewDeployment": True}, "Cannot force a new deployment on services with {}"),
    ],
)
@pytest.mark.parametrize(
    ("controller", "said"),
    [
        (
            "CODE_DEPLOY",
            "a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment.",
        ),
        (
            "EXTERNAL",
            "an EXTERNAL deployment controller. Use CreateTaskSet to trigger a new deployment.",
        ),
    ],
)
def test_what_only_a_new_task_set_can_change(
    cluster: Aws, controller: str, said: str, params: dict[str, Any], message: str
) -> None:
    if controller == "EXTERNAL":
        cluster.ecs("CreateService", serviceName="web", **EXTERNAL)
    else:
        code_deploy(cluster)
    answer = refused(cluster, "UpdateService", service="web", **params)
    assert answer == (INVALID, message.format(said))


def test_what_updates_of_a_service_with_task_sets_may_change(external: Aws) -> None:
    updated = external.ecs(
        "UpdateService",
        service="web",
        desiredCount=4,
        healthCheckGracePeriodSeconds=5,
        placementStrategy=[{"type": "random"}],
        placementConstraints=[{"type": "distinctInstance"}],
        enableECSManagedTags=True,
        propagateTags="SERVICE",
        **EXTERNAL,
    )["service"]
    assert (updated["desiredCount"], updated["healthCheckGracePeriodSeconds"]) == (4, 5)
    assert updated["placementStrategy"] == [{"type": "random", "field": None}]
    assert (updated["enableECSManagedTags"], updated["propagateTags"]) == (True, "SERVICE")
    code, _ = refused(external, "UpdateService", service="web", deploymentController={"type": "ECS"})
    assert code == "UnsupportedFeatureException"


def code_deploy(aws: Aws, **params: Any) -> dict[str, Any]:
    group, _ = balanced(aws)
    given = [{"targetGroupArn": group, "containerName": "app", "containerPort": 80}]
    service = aws.ecs(
        "CreateService",
        **{
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": 2,
            "loadBalancers": given,
            **CODE_DEPLOY,
            **params,
        },
    )["service"]
    return dict(service)


def test_a_service_for_code_deploy_begins_with_a_primary_task_set(cluster: Aws) -> None:
    created = code_deploy(cluster)
    (first,) = created["taskSets"]
    assert (first["status"], first["scale"]["value"]) == ("PRIMARY", 100.0)
    assert (first["taskDefinition"], first["loadBalancers"]) == (
        created["taskDefinition"],
        created["loadBalancers"],
    )
    assert created["deployments"] == []
    settle(cluster)
    (counted,) = shown(cluster)["taskSets"]
    assert counted["computedDesiredCount"] == 2
    second = make(cluster, **scale(100))
    called(cluster, "UpdateServicePrimaryTaskSet", primaryTaskSet=second["id"])
    assert shown(cluster)["loadBalancers"] == []


def test_a_service_for_code_deploy_needs_one_load_balancer(cluster: Aws) -> None:
    asked = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, **CODE_DEPLOY}
    assert refused(cluster, "CreateService", **asked) == (
        INVALID,
        "Exactly one load balancer must be specified for the CODE_DEPLOY deployment controller.",
    )
    assert refused(cluster, "CreateService", **asked, schedulingStrategy="DAEMON") == (
        INVALID,
        "The daemon scheduling strategy is not supported with the CODE_DEPLOY deployment controller.",
    )


def test_a_service_is_deleted_with_its_task_sets(external: Aws) -> None:
    external.register_instance()
    make(external, **scale(100))
    settle(external)
    assert shown(external)["pendingCount"] == 3
    assert refused(external, "DeleteService", service="web") == (
        INVALID,
        "The service cannot be stopped while it is scaled above 0.",
    )
    external.ecs("DeleteService", service="web", force=True)
    assert [each["status"] for each in shown(external)["taskSets"]] == ["DRAINING"]
    settle(external)
    assert list(external.store.all(TaskSet)) == []
    assert shown(external)["status"] == "INACTIVE"
