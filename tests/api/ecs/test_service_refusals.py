"""Bad input to what makes and changes services: every combination, against rules that are written here anew.

A combination that breaks rules is refused in the words of one of those; one that breaks none is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import pytest

from miniecs.model.service import Service
from miniecs_api.wire.errors import AwsError
from tests.api.conftest import Aws

INVALID, CLIENT, UNSUPPORTED = (
    "InvalidParameterException",
    "ClientException",
    "UnsupportedFeatureException",
)
NET = {"awsvpcConfiguration": {"subnets": ["subnet-0000000a"]}}
MODES = {"bridge": ["EC2"], "host": ["EC2"], "none": ["EC2"], "awsvpc": ["EC2", "FARGATE"]}
Params = dict[str, Any]


class Bed(NamedTuple):
    """An account with a task definition of each network mode and target groups of both types."""

    aws: Aws
    groups: dict[str, str]

    def balancer(self, mode: str | None = "bridge", **other: Any) -> Params:
        group = self.groups["ip" if mode == "awsvpc" else "instance"]
        return {"targetGroupArn": group, "containerName": "app", "containerPort": 80, **other}

    def outcome(self, operation: str, params: Params) -> tuple[str, str]:
        """(code, message) of the refusal, which wrote nothing; ("", "") where there was none."""
        before = self.aws.store.seq
        try:
            self.aws.ecs(operation, **params)
        except AwsError as error:
            assert self.aws.store.seq == before, f"{operation} {params} was refused and wrote something"
            return error.code, error.message
        return "", ""


@pytest.fixture
def bed(aws: Aws) -> Bed:
    aws.ecs("CreateCluster", clusterName="default")
    for mode, launch_types in MODES.items():
        ports = [] if mode == "none" else [{"containerPort": 80}]
        aws.ecs(
            "RegisterTaskDefinition",
            family=mode,
            networkMode=mode,
            cpu="256",
            memory="512",
            requiresCompatibilities=launch_types,
            containerDefinitions=[{"name": "app", "image": "a", "memory": 64, "portMappings": ports}],
        )
    subnets = ["subnet-0000000a", "subnet-0000000b"]
    balancer = aws.elbv2("CreateLoadBalancer", Name="lb", Subnets=subnets)["LoadBalancers"][0]
    groups = {}
    for port, type in ((80, "instance"), (81, "ip")):
        made = aws.elbv2(
            "CreateTargetGroup", Name=type, Protocol="HTTP", Port=80, VpcId="vpc-00000001", TargetType=type
        )
        groups[type] = made["TargetGroups"][0]["TargetGroupArn"]
        aws.elbv2(
            "CreateListener",
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": groups[type]}],
        )
    return Bed(aws, groups)


class Combination(NamedTuple):
    controller: str | None
    strategy: str | None
    scheduling: str | None
    launch_type: str | None
    mode: str | None
    network: bool
    balanced: bool
    desired: int | None

    @property
    def is_external(self) -> bool:
        return self.controller == "EXTERNAL"

    @property
    def is_daemon(self) -> bool:
        return self.scheduling == "DAEMON"

    def params(self, bed: Bed) -> Params:
        given = {
            "deploymentController": {"type": self.controller} if self.controller else None,
            "deploymentConfiguration": {"strategy": self.strategy} if self.strategy else None,
            "schedulingStrategy": self.scheduling,
            "launchType": self.launch_type,
            "taskDefinition": self.mode,
            "networkConfiguration": NET if self.network else None,
            "loadBalancers": [bed.balancer(self.mode)] if self.balanced else None,
            "desiredCount": self.desired,
        }
        return {"serviceName": "web"} | {name: value for name, value in given.items() if value is not None}


Rule = tuple[Callable[[Combination], bool], str, str]
RULES: tuple[Rule, ...] = (
    *(
        (
            lambda c, other=other: c.is_daemon and c.controller == other,
            INVALID,
            f"The daemon scheduling strategy is not supported with the {other} deployment controller.",
        )
        for other in ("CODE_DEPLOY", "EXTERNAL")
    ),
    *(
        (
            lambda c, shift=shift: c.strategy == shift and c.controller in ("CODE_DEPLOY", "EXTERNAL"),
            INVALID,
            f"The {shift} deployment strategy can only be used with the ECS deployment controller.",
        )
        for shift in ("BLUE_GREEN", "LINEAR", "CANARY")
    ),
    *(
        (
            lambda c, shift=shift: c.strategy == shift,
            UNSUPPORTED,
            f"Deployment strategy {shift}: not supported by miniecs yet.",
        )
        for shift in ("BLUE_GREEN", "LINEAR", "CANARY")
    ),
    (lambda c: c.is_external and bool(c.mode), INVALID, "TaskDefinition must be blank"),
    (lambda c: c.is_external and c.balanced, INVALID, "LoadBalancers must be empty or null."),
    (lambda c: c.is_external and c.network, INVALID, "NetworkConfiguration must be null."),
    (lambda c: c.is_external and bool(c.launch_type), INVALID, "LaunchType must be null."),
    (
        lambda c: c.controller == "CODE_DEPLOY" and not c.balanced,
        INVALID,
        "Exactly one load balancer must be specified for the CODE_DEPLOY deployment controller.",
    ),
    (lambda c: not c.is_external and not c.mode, INVALID, "TaskDefinition can not be blank."),
    (
        lambda c: c.is_daemon and c.desired is not None,
        INVALID,
        "The daemon scheduling strategy does not support a desired count for services. Remove the desired "
        "count value and try again",
    ),
    (
        lambda c: not c.is_daemon and not c.is_external and c.desired is None,
        INVALID,
        "desiredCount must be specified for the REPLICA scheduling strategy.",
    ),
    (
        lambda c: c.mode == "none" and c.balanced,
        INVALID,
        "The container app did not have a container port 80 defined.",
    ),
    (
        lambda c: c.mode == "awsvpc" and not c.network,
        INVALID,
        "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
    ),
    (
        lambda c: c.mode not in ("awsvpc", None) and c.network,
        INVALID,
        "Network Configuration is not valid for the given networkMode of this task definition.",
    ),
    (
        lambda c: c.launch_type == "FARGATE" and c.mode in ("bridge", "host", "none"),
        INVALID,
        "Task definition does not support launch_type FARGATE.",
    ),
    (
        lambda c: c.launch_type == "EXTERNAL" and c.mode == "awsvpc",
        INVALID,
        "Task definition does not support launch_type EXTERNAL.",
    ),
    (
        lambda c: c.launch_type == "MANAGED_INSTANCES" and c.mode in ("bridge", "none"),
        INVALID,
        "Task definition does not support launch_type MANAGED_INSTANCES.",
    ),
    (
        lambda c: c.launch_type == "MANAGED_INSTANCES",
        UNSUPPORTED,
        "Launch type MANAGED_INSTANCES is not supported by miniecs yet; use EC2 or FARGATE.",
    ),
    (
        lambda c: c.launch_type == "EXTERNAL" and c.balanced,
        INVALID,
        "Load balancers are not supported with the EXTERNAL launch type.",
    ),
    (
        lambda c: c.is_daemon and c.launch_type == "FARGATE",
        INVALID,
        "The daemon scheduling strategy is not supported for the FARGATE launch type.",
    ),
)
CONTROLLERS = (None, "ECS", "CODE_DEPLOY", "EXTERNAL")
STRATEGIES = (None, "ROLLING", "BLUE_GREEN", "LINEAR", "CANARY")
LAUNCH_TYPES = (None, "EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES")


def combinations(controller: str | None) -> Iterator[Combination]:
    both = (False, True)
    for rest in product(STRATEGIES, (None, "DAEMON"), LAUNCH_TYPES, (*MODES, None), both, both, (None, 0)):
        yield Combination(controller, *rest)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_every_combination(bed: Bed, controller: str | None) -> None:
    met: set[str] = set()
    accepted = 0
    for combination in combinations(controller):
        broken = [(code, message) for holds, code, message in RULES if holds(combination)]
        outcome = bed.outcome("CreateService", combination.params(bed))
        assert outcome in (broken or [("", "")]), (combination, outcome)
        met.add(outcome[1])
        if outcome == ("", ""):
            accepted += 1
            bed.aws.ecs("DeleteService", service="web", force=True)
            bed.aws.clock.time += 1
            _gone(bed.aws)
    assert accepted > (0 if controller == "CODE_DEPLOY" else 1)
    assert len(met) > 5


def _gone(aws: Aws) -> None:
    """As the service's loop leaves it, of which nothing runs."""
    with aws.store.transaction() as tx:
        for service in tx.all(Service):
            tx.put(replace(service, status="INACTIVE", inactive_at=aws.clock.time, deployments=()))


def configured(**configuration: Any) -> Params:
    return {"deploymentConfiguration": configuration}


BREAKER = configured(deploymentCircuitBreaker={"enable": True, "rollback": True})
ALARMS = configured(alarms={"enable": True, "rollback": True, "alarmNames": ["none"]})
EARLY = configured(
    earlySuccessCriteria={
        "enable": True, "healthyPercent": 100, "sourceServiceRevisionCleanup": "DEFERRED"
    }
)  # fmt: skip
DAEMON: Params = {"schedulingStrategy": "DAEMON", "desiredCount": None}
EXTERNAL: Params = {"deploymentController": {"type": "EXTERNAL"}, "taskDefinition": None}
ZONES: Params = {"availabilityZoneRebalancing": "ENABLED"}
FARGATE: Params = {"launchType": "FARGATE", "taskDefinition": "awsvpc", "networkConfiguration": NET}
ONLY_ECS = "can only be used with the ECS deployment controller."
OVER_100 = (
    "The daemon scheduling strategy does not support values above 100 for maximumPercent on a deployment "
    "configuration. Change the maximumPercent value to 100, and try again"
)
NO_TASK_ROLE = (
    "because a valid taskRoleArn is not being used. Specify a valid task role in your task definition "
    "and try again."
)
TOKEN = "clientToken must have 1 to 36 ASCII characters in the range of 33-126."
CREATED: tuple[tuple[Params, str, str], ...] = (
    (configured(maximumPercent=99), INVALID, "maximumPercent must be greater than or equal to 100."),
    (configured(maximumPercent=-1), INVALID, "maximumPercent must be greater than or equal to 100."),
    (configured(minimumHealthyPercent=-1), INVALID, "minimumHealthyPercent must be between 0 and 100."),
    (configured(minimumHealthyPercent=101), INVALID, "minimumHealthyPercent must be between 0 and 100."),
    (DAEMON | configured(maximumPercent=101), INVALID, OVER_100),
    (DAEMON | configured(maximumPercent=99), INVALID, "maximumPercent must be greater than or equal to 100."),
    (DAEMON | ZONES, INVALID, "AvailabilityZoneRebalancing does not support the DAEMON scheduling strategy"),
    (
        DAEMON | {"placementStrategy": [{"type": "random"}]},
        INVALID,
        "Placement strategies are not supported with the DAEMON scheduling strategy.",
    ),
    (
        ZONES | configured(maximumPercent=100, minimumHealthyPercent=0),
        INVALID,
        "AvailabilityZoneRebalancing does not support maximumPercent <= 100",
    ),
    (
        ZONES | {"placementStrategy": [{"type": "binpack", "field": "cpu"}]},
        INVALID,
        "AvailabilityZoneRebalancing does not support binpack(cpu) as the first placement strategy",
    ),
    (
        EXTERNAL | ZONES,
        INVALID,
        "AvailabilityZoneRebalancing does not support the EXTERNAL deployment controller",
    ),
    (EXTERNAL | BREAKER, INVALID, f"The deployment circuit breaker {ONLY_ECS}"),
    (EXTERNAL | ALARMS, INVALID, f"Deployment alarms {ONLY_ECS}"),
    (EXTERNAL | EARLY, INVALID, f"Early success criteria {ONLY_ECS}"),
    (EXTERNAL | {"role": "x"}, INVALID, "Role must be null."),
    (EXTERNAL | {"platformVersion": "LATEST"}, INVALID, "PlatformVersion must be null."),
    (EXTERNAL | {"taskDefinition": ""}, INVALID, "Family should not be null or empty."),
    (
        EXTERNAL | {"serviceRegistries": [{"registryArn": "x"}]},
        INVALID,
        "ServiceRegistries must be empty or null.",
    ),
    (
        EXTERNAL | {"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
        INVALID,
        "CapacityProviderStrategy must be empty or null.",
    ),
    (ALARMS, INVALID, "The CloudWatch alarms do not exist: none."),
    ({"taskDefinition": "nothing"}, CLIENT, "TaskDefinition not found."),
    ({"taskDefinition": "bridge:9"}, CLIENT, "TaskDefinition not found."),
    ({"taskDefinition": "gone:1"}, CLIENT, "TaskDefinition is inactive"),
    ({"taskDefinition": ""}, INVALID, "TaskDefinition can not be blank."),
    (
        {"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
        INVALID,
        "Specify either Launch Type or Capacity Provider Strategy, but not both.",
    ),
    (
        {"capacityProviderStrategy": [{"capacityProvider": "none"}]},
        INVALID,
        "The specified capacity provider 'none' was not found. Specify a valid name or ARN and try again.",
    ),
    (
        {"platformVersion": "1.4.0"},
        INVALID,
        "The platform version must be null when specifying an EC2 launch type.",
    ),
    (
        FARGATE | {"platformVersion": "9"},
        "PlatformUnknownException",
        "The specified platform version doesn't exist.",
    ),
    (
        FARGATE | {"placementStrategy": [{"type": "random"}]},
        INVALID,
        "Placement strategies are not supported with FARGATE launch type.",
    ),
    (
        FARGATE | {"placementConstraints": [{"type": "distinctInstance"}]},
        INVALID,
        "Placement constraints are not supported with FARGATE launch type.",
    ),
    (
        FARGATE | {"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}},
        INVALID,
        "subnets can not be empty.",
    ),
    ({"role": "x"}, INVALID, "IAM roles are only valid for services configured to use load balancers."),
    ({"enableExecuteCommand": True}, INVALID, f"The service couldn't be created {NO_TASK_ROLE}"),
    ({"desiredCount": -1}, INVALID, "desiredCount must be between 0 and 5000."),
    ({"desiredCount": 5001}, INVALID, "desiredCount must be between 0 and 5000."),
    ({"clientToken": "x" * 37}, INVALID, TOKEN),
    ({"clientToken": "a b"}, INVALID, TOKEN),
    ({"clientToken": "ü"}, INVALID, TOKEN),
    ({"cluster": "none"}, "ClusterNotFoundException", "Cluster not found."),
)


@pytest.mark.parametrize(("params", "code", "message"), CREATED)
def test_create_service_refuses(bed: Bed, params: Params, code: str, message: str) -> None:
    _deregister(bed.aws, "gone")
    given = {"serviceName": "web", "taskDefinition": "bridge", "desiredCount": 1} | params
    given = {name: value for name, value in given.items() if value is not None}
    assert bed.outcome("CreateService", given) == (code, message)


def _deregister(aws: Aws, family: str) -> None:
    aws.ecs("DeregisterTaskDefinition", taskDefinition=aws.register_task_definition(family))


UPDATED: tuple[tuple[str, Params, str, str], ...] = (
    ("web", configured(maximumPercent=99), INVALID, "maximumPercent must be greater than or equal to 100."),
    ("web", ALARMS, INVALID, "The CloudWatch alarms do not exist: none."),
    ("web", {"taskDefinition": "nothing"}, CLIENT, "TaskDefinition not found."),
    ("web", {"taskDefinition": "gone:1"}, CLIENT, "TaskDefinition is inactive"),
    (
        "web",
        {"taskDefinition": "awsvpc"},
        INVALID,
        "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
    ),
    (
        "web",
        {"networkConfiguration": NET},
        INVALID,
        "Network Configuration is not valid for the given networkMode of this task definition.",
    ),
    (
        "web",
        {"platformVersion": "LATEST"},
        INVALID,
        "The platform version must be null when specifying an EC2 launch type.",
    ),
    ("web", {"desiredCount": -1}, INVALID, "desiredCount must be between 0 and 5000."),
    ("web", {"enableExecuteCommand": True}, INVALID, f"The service couldn't be updated {NO_TASK_ROLE}"),
    ("daemon", configured(maximumPercent=150), INVALID, OVER_100),
    (
        "daemon",
        {"desiredCount": 1},
        INVALID,
        "The daemon scheduling strategy does not support a desired count for services. Remove the desired "
        "count value and try again",
    ),
    ("daemon", ZONES, INVALID, "AvailabilityZoneRebalancing does not support the DAEMON scheduling strategy"),
    ("external", BREAKER, INVALID, f"The deployment circuit breaker {ONLY_ECS}"),
    ("external", ALARMS, INVALID, f"Deployment alarms {ONLY_ECS}"),
    ("external", EARLY, INVALID, f"Early success criteria {ONLY_ECS}"),
    (
        "external",
        configured(strategy="CANARY"),
        INVALID,
        f"The CANARY deployment strategy {ONLY_ECS}",
    ),
    (
        "external",
        {"serviceRegistries": [{"registryArn": "x"}]},
        INVALID,
        "Unable to update service registries on services with an EXTERNAL deployment controller. Use "
        "CreateTaskSet to trigger a new deployment.",
    ),
    ("none", {"desiredCount": 1}, "ServiceNotFoundException", "Service not found."),
    ("deleted", {"desiredCount": 1}, "ServiceNotActiveException", "Service was not ACTIVE."),
)


@pytest.mark.parametrize(("service", "params", "code", "message"), UPDATED)
def test_update_service_refuses(bed: Bed, service: str, params: Params, code: str, message: str) -> None:
    _deregister(bed.aws, "gone")
    of_bridge: Params = {"taskDefinition": "bridge"}
    bed.aws.ecs("CreateService", serviceName="web", desiredCount=1, **of_bridge)
    bed.aws.ecs("CreateService", serviceName="daemon", schedulingStrategy="DAEMON", **of_bridge)
    bed.aws.ecs("CreateService", serviceName="external", deploymentController={"type": "EXTERNAL"})
    bed.aws.ecs("CreateService", serviceName="deleted", desiredCount=0, **of_bridge)
    bed.aws.ecs("DeleteService", service="deleted")
    assert bed.outcome("UpdateService", {"service": service} | params) == (code, message)


def test_load_balancers_of_machines_outside_of_ec2(bed: Bed) -> None:
    refusal = (INVALID, "Load balancers are not supported with the EXTERNAL launch type.")
    outside: Params = {"taskDefinition": "bridge", "launchType": "EXTERNAL"}
    bed.aws.ecs("CreateService", serviceName="web", desiredCount=1, **outside)
    balanced: Params = {"loadBalancers": [bed.balancer()]}
    assert bed.outcome("UpdateService", {"service": "web"} | balanced) == refusal
    bed.aws.ecs("CreateService", serviceName="sets", deploymentController={"type": "EXTERNAL"})
    task_set = {"service": "sets", "cluster": "default"} | outside | balanced
    assert bed.outcome("CreateTaskSet", task_set) == refusal


@pytest.mark.parametrize(
    ("minimum", "maximum", "desired", "kept", "allowed"),
    [(100, 100, 2, 2, 2), (50, 100, 1, 1, 1), (100, 149, 2, 2, 2), (99, 101, 50, 50, 50)],
)
def test_percentages_that_leave_no_move_are_accepted_with_a_hint(
    bed: Bed, minimum: int, maximum: int, desired: int, kept: int, allowed: int
) -> None:
    """What then happens is told in an event and by `explain`: tests/e2e/test_services.py."""
    percent = configured(minimumHealthyPercent=minimum, maximumPercent=maximum)
    bed.aws.ecs("CreateService", serviceName="web", taskDefinition="bridge", desiredCount=desired, **percent)
    of = "1 task" if desired == 1 else f"{desired} tasks"
    hint = (
        f"Of {of} minimumHealthyPercent {minimum} keeps {kept}, and maximumPercent {maximum} allows "
        f"{allowed}: a deployment can neither stop nor start one."
    )
    assert bed.aws.hints == [hint]
    bed.aws.ecs("UpdateService", service="web", forceNewDeployment=True)
    assert bed.aws.hints == []
    bed.aws.ecs("UpdateService", service="web", **percent)
    assert bed.aws.hints == [hint]


@pytest.mark.parametrize(("minimum", "maximum", "desired"), [(100, 150, 2), (50, 100, 2), (100, 100, 0)])
def test_percentages_that_leave_a_move(bed: Bed, minimum: int, maximum: int, desired: int) -> None:
    percent = configured(minimumHealthyPercent=minimum, maximumPercent=maximum)
    bed.aws.ecs("CreateService", serviceName="web", taskDefinition="bridge", desiredCount=desired, **percent)
    assert bed.aws.hints == []


def test_exec_with_a_task_role_makes_no_deployment_but_must_keep_one(bed: Bed) -> None:
    container = {"name": "app", "image": "a", "memory": 64}
    role = "arn:aws:iam::000000000000:role/task"
    bed.aws.ecs(
        "RegisterTaskDefinition", family="roled", taskRoleArn=role, containerDefinitions=[container]
    )
    bed.aws.ecs("CreateService", serviceName="web", taskDefinition="roled", desiredCount=1)
    updated = bed.aws.ecs("UpdateService", service="web", enableExecuteCommand=True)["service"]
    assert (updated["enableExecuteCommand"], len(updated["deployments"])) == (True, 1)
    without = bed.outcome("UpdateService", {"service": "web", "taskDefinition": "bridge"})
    assert without == (INVALID, f"The service couldn't be updated {NO_TASK_ROLE}")
