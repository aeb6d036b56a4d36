"""One account's objects, named by ARN from another account or another region: refused, unseen, unchanged.

The strangers have the same names for all that they own, so that an operation which takes only the name out
of an ARN is caught with its hands on the caller's own object.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from miniecs.config import Timing
from miniecs.model.kinds import KINDS
from miniecs.model.scope import Scope
from miniecs.reconciler import Reconciler
from miniecs_api.dispatch import registry
from miniecs_api.wire.errors import AwsError

from ..api.conftest import Aws
from .requests import Living, choose, make
from .templates import RESOURCES

OWNER = Scope("111111111111", "us-east-1")
STRANGERS = {"account": Scope("222222222222", "us-east-1"), "region": Scope("111111111111", "eu-west-1")}
OWNER_ARN = re.compile(r"arn:aws:(ecs|elasticloadbalancing):us-east-1:111111111111:")
SECRET = "what-only-the-owner-knows"

Named = dict[str, Any]

_FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
_PATH = {"Field": "path-pattern", "Values": ["/x"]}
_FORWARD = {"Type": "forward", "TargetGroupArn": "$target_group"}
_TARGETS = [{"Id": "10.0.0.1", "Port": 80}]
_SWAP = {"cluster": "default", "service": "swap"}
_VERSION = {"agentVersion": "1.105.1", "agentHash": "a8b3e7d3", "dockerVersion": "20.10.24"}


@contextmanager
def acting(aws: Aws, scope: Scope) -> Iterator[None]:
    before, aws.scope = aws.scope, scope
    try:
        yield
    finally:
        aws.scope = before


def furnish(aws: Aws, secret: str) -> Named:
    """One of everything, under the same names in every account and region; the ARNs by short names."""
    tags = [{"key": "k", "value": secret}]
    cluster = aws.ecs("CreateCluster", clusterName="default", tags=tags)["cluster"]["clusterArn"]
    instance = aws.register_instance()
    aws.register_instance(zone="us-east-1b")
    definition = aws.ecs(
        "RegisterTaskDefinition",
        family="web",
        containerDefinitions=[
            {
                "name": "app",
                "image": "busybox:latest",
                "memory": 64,
                "portMappings": [{"containerPort": 80}],
                "environment": [{"name": "SECRET", "value": secret}],
            }
        ],
        tags=tags,
    )["taskDefinition"]["taskDefinitionArn"]
    [balancer] = aws.elbv2(
        "CreateLoadBalancer",
        Name="front",
        Subnets=["subnet-1", "subnet-2"],
        Tags=[{"Key": "k", "Value": secret}],
    )["LoadBalancers"]
    groups = [
        aws.elbv2("CreateTargetGroup", Name=name, Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType=kind)[
            "TargetGroups"
        ][0]["TargetGroupArn"]
        for name, kind in (("instances", "instance"), ("addresses", "ip"))
    ]
    [listener] = aws.elbv2(
        "CreateListener",
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": groups[0]}],
    )["Listeners"]
    [rule] = aws.elbv2(
        "CreateRule",
        ListenerArn=listener["ListenerArn"],
        Priority=1,
        Conditions=[_PATH],
        Actions=[{"Type": "forward", "TargetGroupArn": groups[1]}],
    )["Rules"]
    aws.elbv2("RegisterTargets", TargetGroupArn=groups[1], Targets=_TARGETS)
    service = aws.ecs(
        "CreateService",
        serviceName="web",
        taskDefinition=definition,
        desiredCount=1,
        loadBalancers=[{"targetGroupArn": groups[0], "containerName": "app", "containerPort": 80}],
        tags=tags,
    )["service"]
    metric = {"MetricName": "m", "Namespace": "n", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    rule_of_alarm = {"Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold"}
    described = {"AlarmDescription": secret, "Tags": [{"Key": "k", "Value": secret}]}
    aws.call("cloudwatch", "PutMetricAlarm", AlarmName="slow", **metric, **rule_of_alarm, **described)
    [alarm] = aws.call("cloudwatch", "DescribeAlarms")["MetricAlarms"]
    [task] = aws.ecs("RunTask", taskDefinition=definition, tags=tags, startedBy="somebody")["tasks"]
    old = aws.register_task_definition("old")
    aws.ecs("DeregisterTaskDefinition", taskDefinition=old)
    [unused] = aws.elbv2("CreateTargetGroup", Name="unused", Protocol="HTTP", Port=80, VpcId="vpc-1")[
        "TargetGroups"
    ]
    certificate = f"arn:aws:acm:{aws.scope.region}:{aws.scope.account}:certificate/1"
    [secure] = aws.elbv2(
        "CreateListener",
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[_FIXED],
    )["Listeners"]
    provider = aws.ecs(
        "CreateCapacityProvider",
        name="spare",
        autoScalingGroupProvider={
            "autoScalingGroupArn": f"arn:aws:autoscaling:{aws.scope.region}:{aws.scope.account}:"
            "autoScalingGroup:x:autoScalingGroupName/spare"
        },
        tags=tags,
    )["capacityProvider"]["capacityProviderArn"]
    aws.ecs("PutAttributes", attributes=[{"name": "stack", "value": secret, "targetId": instance}])
    swap = aws.ecs("CreateService", serviceName="swap", deploymentController={"type": "EXTERNAL"})["service"]
    task_set = aws.ecs("CreateTaskSet", **_SWAP, taskDefinition=definition, tags=tags)["taskSet"]
    return {
        "swap": swap["serviceArn"],
        "task_set": task_set["taskSetArn"],
        "cluster": cluster,
        "certificate": f"{certificate}2",
        "empty": aws.ecs("CreateCluster", clusterName="empty")["cluster"]["clusterArn"],
        "old": old,
        "unused": unused["TargetGroupArn"],
        "secure": secure["ListenerArn"],
        "instance": instance,
        "definition": definition,
        "service": service["serviceArn"],
        "release": service["currentServiceDeployment"],
        "revision": service["currentServiceRevisions"][0]["arn"],
        "alarm": alarm["AlarmArn"],
        "task": task["taskArn"],
        "provider": provider,
        "balancer": balancer["LoadBalancerArn"],
        "target_group": groups[0],
        "addresses": groups[1],
        "listener": listener["ListenerArn"],
        "rule": rule["RuleArn"],
    }


class World:
    """The owner's objects, the strangers', and the control loops over all of them."""

    def __init__(self) -> None:
        self.aws = Aws(scope=OWNER)
        self.reconciler = Reconciler(self.aws.store, self.aws.fleets, self.aws.ids, Timing())
        self.owned = furnish(self.aws, SECRET)
        self.strangers: dict[str, Named] = {}
        for name, scope in STRANGERS.items():
            with acting(self.aws, scope):
                self.strangers[name] = furnish(self.aws, "nothing")
        self.settle()

    def settle(self) -> None:
        for _ in range(5):
            self.aws.clock.time += 1
            self.reconciler.step(self.aws.clock.time)

    def everything(self) -> dict[tuple[str, str], Any]:
        store = self.aws.store
        found: dict[tuple[str, str], Any] = {}
        for kind in KINDS:
            things: list[Any] = list(store.all(kind.type))
            found |= {(kind.name, kind.key(thing)): thing for thing in things}
        return found


def filled(template: Any, named: Named, own: Named) -> Any:
    """The template with the ARNs that are named ($) and those that the caller owns (#)."""
    match template:
        case dict():
            return {key: filled(part, named, own) for key, part in template.items()}
        case list():
            return [filled(part, named, own) for part in template]
        case str() if template.startswith("$"):
            return named[template[1:]]
        case str() if template.startswith("#"):
            return own[template[1:]]
    return template


# Every operation that takes a name which can be an ARN; each works when the owner asks it.
ASKED: list[tuple[str, str, Named]] = [
    ("ecs", "CreateService", {"serviceName": "new", "taskDefinition": "$definition", "desiredCount": 0}),
    (
        "ecs",
        "CreateService",
        {
            "serviceName": "new",
            "taskDefinition": "web",
            "desiredCount": 0,
            "loadBalancers": [
                {"targetGroupArn": "$target_group", "containerName": "app", "containerPort": 80}
            ],
        },
    ),
    ("ecs", "DeleteAttributes", {"attributes": [{"name": "stack", "targetId": "$instance"}]}),
    ("ecs", "DeleteCapacityProvider", {"capacityProvider": "$provider"}),
    ("ecs", "DeleteService", {"service": "$service", "force": True}),
    ("ecs", "DeleteTaskDefinitions", {"taskDefinitions": ["$old"]}),
    ("ecs", "DeregisterContainerInstance", {"containerInstance": "$instance", "force": True}),
    ("ecs", "DeregisterTaskDefinition", {"taskDefinition": "$definition"}),
    ("ecs", "DescribeCapacityProviders", {"capacityProviders": ["$provider"], "include": ["TAGS"]}),
    ("ecs", "DescribeClusters", {"clusters": ["$cluster"], "include": ["TAGS", "STATISTICS"]}),
    ("ecs", "DescribeContainerInstances", {"containerInstances": ["$instance"], "include": ["TAGS"]}),
    ("ecs", "DescribeServices", {"services": ["$service"], "include": ["TAGS"]}),
    ("ecs", "DescribeTaskDefinition", {"taskDefinition": "$definition", "include": ["TAGS"]}),
    ("ecs", "DescribeTasks", {"tasks": ["$task"], "include": ["TAGS"]}),
    ("ecs", "DiscoverPollEndpoint", {"containerInstance": "$instance"}),
    ("ecs", "ListTagsForResource", {"resourceArn": "$cluster"}),
    ("ecs", "ListTagsForResource", {"resourceArn": "$service"}),
    ("ecs", "ListTagsForResource", {"resourceArn": "$task"}),
    ("ecs", "ListTagsForResource", {"resourceArn": "$definition"}),
    ("ecs", "ListTagsForResource", {"resourceArn": "$instance"}),
    ("ecs", "ListTagsForResource", {"resourceArn": "$provider"}),
    ("ecs", "ListTasks", {"containerInstance": "$instance"}),
    ("ecs", "ListTasks", {"serviceName": "$service"}),
    (
        "ecs",
        "PutAttributes",
        {"attributes": [{"name": "a", "value": "b", "targetId": "$instance"}]},
    ),
    (
        "ecs",
        "PutClusterCapacityProviders",
        {"cluster": "$cluster", "capacityProviders": [], "defaultCapacityProviderStrategy": []},
    ),
    (
        "ecs",
        "RegisterContainerInstance",
        {"containerInstanceArn": "$instance", "totalResources": RESOURCES, "versionInfo": _VERSION},
    ),
    ("ecs", "RunTask", {"taskDefinition": "$definition"}),
    ("ecs", "StartTask", {"taskDefinition": "$definition", "containerInstances": ["#instance"]}),
    ("ecs", "StartTask", {"taskDefinition": "web", "containerInstances": ["$instance"]}),
    ("ecs", "StopTask", {"task": "$task"}),
    ("ecs", "SubmitContainerStateChange", {"task": "$task", "containerName": "app", "status": "STOPPED"}),
    ("ecs", "SubmitTaskStateChange", {"task": "$task", "status": "STOPPED"}),
    *(
        ("ecs", "TagResource", {"resourceArn": f"${kind}", "tags": [{"key": "mine", "value": "now"}]})
        for kind in ("cluster", "service", "task", "task_set", "definition", "instance", "provider")
    ),
    *(
        ("ecs", "UntagResource", {"resourceArn": f"${kind}", "tagKeys": ["k"]})
        for kind in ("cluster", "service", "task", "task_set", "definition", "instance", "provider")
    ),
    ("ecs", "UpdateCapacityProvider", {
        "name": "$provider", "autoScalingGroupProvider": {"managedDraining": "DISABLED"},
    }),
    ("ecs", "UpdateContainerInstancesState", {"containerInstances": ["$instance"], "status": "DRAINING"}),
    ("ecs", "GetTaskProtection", {"cluster": "default", "tasks": ["$task"]}),
    ("ecs", "UpdateTaskProtection", {"cluster": "default", "tasks": ["$task"], "protectionEnabled": True}),
    ("ecs", "UpdateService", {"service": "$service", "desiredCount": 0}),
    ("ecs", "UpdateService", {"service": "web", "taskDefinition": "$definition", "forceNewDeployment": True}),
    ("ecs", "CreateTaskSet", {**_SWAP, "taskDefinition": "$definition"}),
    ("ecs", "CreateTaskSet", {**_SWAP, "service": "$swap", "taskDefinition": "web"}),
    ("ecs", "DeleteTaskSet", {**_SWAP, "taskSet": "$task_set"}),
    ("ecs", "DescribeTaskSets", {**_SWAP, "taskSets": ["$task_set"], "include": ["TAGS"]}),
    ("ecs", "DescribeTaskSets", {**_SWAP, "service": "$swap"}),
    ("ecs", "ListTagsForResource", {"resourceArn": "$task_set"}),
    ("ecs", "UpdateServicePrimaryTaskSet", {**_SWAP, "primaryTaskSet": "$task_set"}),
    ("ecs", "UpdateTaskSet", {**_SWAP, "taskSet": "$task_set", "scale": {"value": 50.0, "unit": "PERCENT"}}),
    # In a cluster that is named by the owner's ARN, whatever else is said.
    ("ecs", "DescribeTaskSets", {"cluster": "$cluster", "service": "swap"}),
    ("ecs", "DeleteCluster", {"cluster": "$empty"}),
    ("ecs", "CreateService", {
        "cluster": "$cluster", "serviceName": "new", "taskDefinition": "web", "desiredCount": 0,
    }),
    ("ecs", "DeleteService", {"cluster": "$cluster", "service": "web", "force": True}),
    ("ecs", "DescribeServices", {"cluster": "$cluster", "services": ["web"]}),
    ("ecs", "DiscoverPollEndpoint", {"cluster": "$cluster"}),
    ("ecs", "ListAttributes", {"cluster": "$cluster", "targetType": "container-instance"}),
    ("ecs", "ListContainerInstances", {"cluster": "$cluster"}),
    ("ecs", "ListServices", {"cluster": "$cluster"}),
    ("ecs", "ListTasks", {"cluster": "$cluster"}),
    ("ecs", "RegisterContainerInstance", {"cluster": "$cluster", "totalResources": RESOURCES}),
    ("ecs", "RunTask", {"cluster": "$cluster", "taskDefinition": "web"}),
    ("ecs", "UpdateCluster", {
        "cluster": "$cluster", "settings": [{"name": "containerInsights", "value": "enabled"}],
    }),
    ("ecs", "UpdateClusterSettings", {
        "cluster": "$cluster", "settings": [{"name": "containerInsights", "value": "enabled"}],
    }),
    ("ecs", "UpdateService", {"cluster": "$cluster", "service": "web", "desiredCount": 0}),
    ("elbv2", "AddListenerCertificates", {
        "ListenerArn": "$secure", "Certificates": [{"CertificateArn": "$certificate"}],
    }),
    ("elbv2", "RemoveListenerCertificates", {
        "ListenerArn": "$secure", "Certificates": [{"CertificateArn": "$certificate"}],
    }),
    ("elbv2", "DeleteTargetGroup", {"TargetGroupArn": "$unused"}),
    ("elbv2", "AddTags", {"ResourceArns": ["$balancer"], "Tags": [{"Key": "a", "Value": "b"}]}),
    ("elbv2", "AddTags", {"ResourceArns": ["$rule"], "Tags": [{"Key": "a", "Value": "b"}]}),
    ("elbv2", "CreateListener", {
        "LoadBalancerArn": "$balancer", "Protocol": "HTTP", "Port": 81, "DefaultActions": [_FIXED],
    }),
    ("elbv2", "CreateListener", {
        "LoadBalancerArn": "#balancer", "Protocol": "HTTP", "Port": 81, "DefaultActions": [_FORWARD],
    }),
    ("elbv2", "CreateRule", {
        "ListenerArn": "$listener", "Priority": 2, "Conditions": [_PATH], "Actions": [_FIXED],
    }),
    ("elbv2", "CreateRule", {
        "ListenerArn": "#listener", "Priority": 2, "Conditions": [_PATH], "Actions": [_FORWARD],
    }),
    ("elbv2", "DeleteListener", {"ListenerArn": "$listener"}),
    ("elbv2", "DeleteLoadBalancer", {"LoadBalancerArn": "$balancer"}),
    ("elbv2", "DeleteRule", {"RuleArn": "$rule"}),
    ("elbv2", "DeregisterTargets", {"TargetGroupArn": "$addresses", "Targets": _TARGETS}),
    ("elbv2", "DescribeListenerAttributes", {"ListenerArn": "$listener"}),
    ("elbv2", "DescribeListenerCertificates", {"ListenerArn": "$listener"}),
    ("elbv2", "DescribeListeners", {"LoadBalancerArn": "$balancer"}),
    ("elbv2", "DescribeListeners", {"ListenerArns": ["$listener"]}),
    ("elbv2", "DescribeLoadBalancerAttributes", {"LoadBalancerArn": "$balancer"}),
    ("elbv2", "DescribeLoadBalancers", {"LoadBalancerArns": ["$balancer"]}),
    ("elbv2", "DescribeRules", {"ListenerArn": "$listener"}),
    ("elbv2", "DescribeRules", {"RuleArns": ["$rule"]}),
    ("elbv2", "DescribeTags", {"ResourceArns": ["$balancer"]}),
    ("elbv2", "DescribeTags", {"ResourceArns": ["$target_group"]}),
    ("elbv2", "DescribeTargetGroupAttributes", {"TargetGroupArn": "$target_group"}),
    ("elbv2", "DescribeTargetGroups", {"LoadBalancerArn": "$balancer"}),
    ("elbv2", "DescribeTargetGroups", {"TargetGroupArns": ["$target_group"]}),
    ("elbv2", "DescribeTargetHealth", {"TargetGroupArn": "$addresses"}),
    ("elbv2", "ModifyListener", {"ListenerArn": "$listener", "Port": 82}),
    ("elbv2", "ModifyListener", {"ListenerArn": "#listener", "DefaultActions": [_FORWARD]}),
    ("elbv2", "ModifyListenerAttributes", {
        "ListenerArn": "$listener",
        "Attributes": [{"Key": "routing.http.response.server.enabled", "Value": "false"}],
    }),
    ("elbv2", "ModifyLoadBalancerAttributes", {
        "LoadBalancerArn": "$balancer", "Attributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "5"}],
    }),
    ("elbv2", "ModifyRule", {"RuleArn": "$rule", "Actions": [_FIXED]}),
    ("elbv2", "ModifyRule", {"RuleArn": "#rule", "Actions": [_FORWARD]}),
    ("elbv2", "ModifyTargetGroup", {"TargetGroupArn": "$target_group", "HealthCheckPath": "/h"}),
    ("elbv2", "ModifyTargetGroupAttributes", {
        "TargetGroupArn": "$target_group",
        "Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}],
    }),
    ("elbv2", "RegisterTargets", {"TargetGroupArn": "$addresses", "Targets": [{"Id": "10.0.0.2"}]}),
    ("elbv2", "RemoveTags", {"ResourceArns": ["$balancer"], "TagKeys": ["k"]}),
    ("elbv2", "SetIpAddressType", {"LoadBalancerArn": "$balancer", "IpAddressType": "dualstack"}),
    ("elbv2", "SetRulePriorities", {"RulePriorities": [{"RuleArn": "$rule", "Priority": 7}]}),
    ("elbv2", "SetSecurityGroups", {"LoadBalancerArn": "$balancer", "SecurityGroups": ["sg-9"]}),
    ("elbv2", "SetSubnets", {"LoadBalancerArn": "$balancer", "Subnets": ["subnet-3", "subnet-4"]}),
]  # fmt: skip

ASKED += [
    ("ecs", "ListServiceDeployments", {"service": "$service", "cluster": "$cluster"}),
    ("ecs", "DescribeServiceDeployments", {"serviceDeploymentArns": ["$release"]}),
    ("ecs", "DescribeServiceRevisions", {"serviceRevisionArns": ["$revision"]}),
    ("ecs", "StopServiceDeployment", {"serviceDeploymentArn": "$release"}),
    ("cloudwatch", "ListTagsForResource", {"ResourceARN": "$alarm"}),
    ("cloudwatch", "TagResource", {"ResourceARN": "$alarm", "Tags": [{"Key": "k", "Value": "v"}]}),
    ("cloudwatch", "UntagResource", {"ResourceARN": "$alarm", "TagKeys": ["k"]}),
]

# Refused whoever asks.
ALWAYS_REFUSED: list[tuple[str, str, Named]] = [
    ("ecs", "UpdateContainerAgent", {"containerInstance": "$instance"}),
    (
        "ecs",
        "SubmitAttachmentStateChanges",
        {"attachments": [{"attachmentArn": "$task", "status": "ATTACHED"}]},
    ),
]

# What takes no name of an object that somebody owns.
NAMES_NOBODY = {
    "CreateCapacityProvider",
    "CreateCluster",
    "CreateLoadBalancer",
    "CreateTargetGroup",
    "DeleteAccountSetting",
    "DeleteAlarms",
    "DescribeAccountLimits",
    "DescribeAlarms",
    "DescribeSSLPolicies",
    "GetCallerIdentity",
    "ListAccountSettings",
    "ListClusters",
    "ListTaskDefinitionFamilies",
    "ListTaskDefinitions",
    "PutAccountSetting",
    "PutAccountSettingDefault",
    "PutMetricAlarm",
    "RegisterTaskDefinition",
    "SetAlarmState",
}


def test_every_operation_is_asked() -> None:
    asked = {(service, operation) for service, operation, _ in [*ASKED, *ALWAYS_REFUSED]}
    assert {o for s, o in registry() if (s, o) not in asked} == NAMES_NOBODY


@pytest.mark.parametrize(("service", "operation", "params"), ASKED, ids=str)
def test_the_owner_may(service: str, operation: str, params: Named) -> None:
    world = World()
    world.aws.call(service, operation, **filled(params, world.owned, world.owned))


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def reveals(answer: Named, asked: Named, owned: Named) -> list[str]:
    """What an answer tells of the owner's objects beside the ARNs that the caller knew already."""
    said, known = json.dumps(answer), json.dumps(asked)
    found = [arn for arn in owned.values() if arn in said and arn not in known]
    found += [f"{name}: {part}" for name, part in answer.items() if name != "failures" and part]
    return found + [SECRET] * (SECRET in said)


_UNKNOWN = re.compile(
    r"[Nn]ot found|is not a valid [a-z ]+ ARN|does not exist|wasn't found"
    r"|Unable to describe|Unable to assume role"
)
# AWS answers these as if there had been something to delete.
_SAYS_NOTHING = {"DeleteLoadBalancer", "DeleteTargetGroup"}


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize(("service", "operation", "params"), [*ASKED, *ALWAYS_REFUSED], ids=str)
def test_a_stranger_may_not(world: World, stranger: str, service: str, operation: str, params: Named) -> None:
    asked = filled(params, world.owned, world.strangers[stranger])
    before = world.everything()
    with acting(world.aws, STRANGERS[stranger]):
        try:
            answer = world.aws.call(service, operation, **asked)
        except AwsError as error:
            assert _UNKNOWN.search(error.message), error
            assert SECRET not in error.message
        else:
            assert reveals(answer, asked, world.owned) == []
            assert answer.get("failures") or operation in _SAYS_NOTHING
    assert world.everything() == before


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_token_is_its_owners(stranger: str) -> None:
    """The client tokens of RunTask and CreateService, and the tokens of lists."""
    world = World()
    aws = world.aws
    run = {"taskDefinition": "web", "clientToken": "once"}
    create = {**run, "serviceName": "tokened", "desiredCount": 0}
    task = aws.ecs("RunTask", **run)["tasks"][0]["taskArn"]
    assert aws.ecs("RunTask", **run)["tasks"][0]["taskArn"] == task
    service = aws.ecs("CreateService", **create)["service"]["serviceArn"]
    page = aws.ecs("ListClusters", maxResults=1)
    with acting(aws, STRANGERS[stranger]):
        own = [
            aws.ecs("RunTask", **run)["tasks"][0]["taskArn"],
            aws.ecs("CreateService", **create)["service"]["serviceArn"],
            *aws.ecs("ListClusters", nextToken=page["nextToken"])["clusterArns"],
        ]
    assert not set(own) & {task, service, *world.owned.values()}


def test_settings_of_anothers_principal(world: World) -> None:
    principal = "arn:aws:iam::111111111111:user/owner"
    setting = {"name": "containerInsights", "value": "enabled", "principalArn": principal}
    before = world.everything()
    with acting(world.aws, STRANGERS["account"]):
        for operation, params in (
            ("PutAccountSetting", setting),
            ("DeleteAccountSetting", {"name": "containerInsights", "principalArn": principal}),
            ("ListAccountSettings", {"principalArn": principal}),
        ):
            with pytest.raises(AwsError):
                world.aws.ecs(operation, **params)
    assert world.everything() == before


@pytest.mark.slow
@pytest.mark.parametrize("stranger", STRANGERS)
def test_whatever_a_stranger_asks(stranger: str) -> None:
    """3,000 random requests about the owner's objects and their own, and what control makes of them."""
    world, rng = World(), random.Random(7)
    living = Living()
    living.remember(world.owned)
    living.remember(world.strangers[stranger])
    operations = sorted(registry())
    owners = {key: thing for key, thing in world.everything().items() if OWNER_ARN.search(repr(thing))}
    assert len(owners) >= 15
    for _ in range(3000):
        service, operation = choose(operations, rng)
        params = make(service, operation, rng, living)
        with acting(world.aws, STRANGERS[stranger]):
            try:
                answer = world.aws.call(service, operation, **params)
            except AwsError as error:
                answer = {"message": error.message}
        assert SECRET not in json.dumps(answer), (operation, params)
        living.remember(answer)
    world.settle()
    after = world.everything()
    assert {key: after.get(key) for key in owners} == owners
    assert {key for key, thing in after.items() if OWNER_ARN.search(repr(thing))} == owners.keys()
