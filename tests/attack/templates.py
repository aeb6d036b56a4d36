"""Whole requests that work, for what no random choice would put together.

Strings in <> are replaced by something that lives: ``<kind>`` by its ARN, ``<kind/beginning>`` by that of one
whose name begins so, ``<?prefix>`` by a name that may be taken or not.
"""

from __future__ import annotations

import json
from typing import Any

EXPRESSIONS = (
    "attribute:ecs.instance-type == t3.medium",
    "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]",
    "runningTasksCount >= 0 and not(attribute:zone exists)",
    "task:group == service:web",
    "agentConnected == true",
    "attribute:ecs.instance-type =~ t3.*",
)
DOCUMENT = {
    "instanceId": "i-0123456789abcdef0",
    "instanceType": "t3.medium",
    "availabilityZone": "us-east-1a",
    "imageId": "ami-0123456789abcdef0",
    "privateIp": "10.0.0.9",
    "region": "us-east-1",
    "accountId": "000000000000",
}

_SCALING_GROUP = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:x:autoScalingGroupName/a"
_CONTAINER = {
    "name": "n0",
    "image": "httpd:2.4",
    "memory": 64,
    "cpu": 64,
    "essential": True,
    "portMappings": [{"containerPort": 80, "hostPort": 0}],
}
_VPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 3953},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]
_FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "ContentType": "text/plain"}}

TEMPLATES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "ecs",
        "CreateCluster",
        {"clusterName": "<?c>", "settings": [{"name": "containerInsights", "value": "enabled"}]},
    ),
    ("ecs", "RegisterTaskDefinition", {"family": "<?web>", "containerDefinitions": [_CONTAINER]}),
    (
        "ecs",
        "RegisterTaskDefinition",
        {
            "family": "<?f>",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE", "EC2"],
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [
                {**_CONTAINER, "portMappings": [{"containerPort": 80}]},
                {
                    **_CONTAINER,
                    "name": "n1",
                    "essential": False,
                    "portMappings": [],
                    "dependsOn": [{"containerName": "n0", "condition": "START"}],
                    "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5, "retries": 1},
                },
            ],
        },
    ),
    (
        "ecs",
        "RegisterContainerInstance",
        {
            "cluster": "default",
            "instanceIdentityDocument": json.dumps(DOCUMENT),
            "totalResources": RESOURCES,
            "versionInfo": {"agentVersion": "1.105.1", "agentHash": "a8b3e7d3", "dockerVersion": "20.10.24"},
            "attributes": [{"name": "stack", "value": "x"}],
        },
    ),
    (
        "ecs",
        "CreateService",
        {
            "serviceName": "<?s>",
            "taskDefinition": "<task-definition/web>",
            "desiredCount": 2,
            "launchType": "EC2",
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
        },
    ),
    (
        "ecs",
        "CreateService",
        {
            "serviceName": "<?s>",
            "taskDefinition": "<task-definition>",
            "desiredCount": 1,
            "launchType": "FARGATE",
            "networkConfiguration": _VPC,
        },
    ),
    (
        "ecs",
        "CreateService",
        {
            "serviceName": "<?s>",
            "taskDefinition": "<task-definition/web>",
            "schedulingStrategy": "DAEMON",
            "launchType": "EC2",
            "placementConstraints": [{"type": "memberOf", "expression": EXPRESSIONS[0]}],
        },
    ),
    (
        "ecs",
        "CreateService",
        {
            "serviceName": "<?s>",
            "taskDefinition": "<task-definition/web>",
            "desiredCount": 2,
            "launchType": "EC2",
            "loadBalancers": [
                {"targetGroupArn": "<targetgroup/tg>", "containerName": "n0", "containerPort": 80}
            ],
            "placementStrategy": [{"type": "spread", "field": "attribute:ecs.availability-zone"}],
        },
    ),
    ("ecs", "UpdateService", {"service": "<service>", "desiredCount": 3, "forceNewDeployment": True}),
    ("ecs", "UpdateService", {"service": "<service>", "taskDefinition": "<task-definition/web>"}),
    ("ecs", "DeleteService", {"service": "<service>", "force": True}),
    (
        "ecs",
        "CreateService",
        {"serviceName": "<?swap>", "desiredCount": 3, "deploymentController": {"type": "EXTERNAL"}},
    ),
    (
        "ecs",
        "CreateTaskSet",
        {
            "cluster": "default",
            "service": "<service/default/swap>",
            "taskDefinition": "<task-definition/web>",
            "scale": {"value": 50.0, "unit": "PERCENT"},
            "loadBalancers": [
                {"targetGroupArn": "<targetgroup/tg>", "containerName": "n0", "containerPort": 80}
            ],
        },
    ),
    (
        "ecs",
        "CreateTaskSet",
        {
            "cluster": "default",
            "service": "<service/default/swap>",
            "taskDefinition": "<task-definition/web>",
            "scale": {"value": 100.0, "unit": "PERCENT"},
        },
    ),
    (
        "ecs",
        "UpdateTaskSet",
        {
            "cluster": "default",
            "service": "<service/default/swap>",
            "taskSet": "<task-set/default/swap>",
            "scale": {"value": 34.5, "unit": "PERCENT"},
        },
    ),
    (
        "ecs",
        "UpdateServicePrimaryTaskSet",
        {
            "cluster": "default",
            "service": "<service/default/swap>",
            "primaryTaskSet": "<task-set/default/swap>",
        },
    ),
    (
        "ecs",
        "DeleteTaskSet",
        {
            "cluster": "default",
            "service": "<service/default/swap>",
            "taskSet": "<task-set/default/swap>",
            "force": True,
        },
    ),
    ("ecs", "DescribeTaskSets", {"cluster": "default", "service": "<service/default/swap>"}),
    (
        "ecs",
        "RunTask",
        {"taskDefinition": "<task-definition/web>", "count": 2, "launchType": "EC2", "group": "<?g>"},
    ),
    (
        "ecs",
        "RunTask",
        {
            "taskDefinition": "<task-definition>",
            "launchType": "FARGATE",
            "networkConfiguration": _VPC,
            "overrides": {
                "containerOverrides": [
                    {"name": "n0", "command": ["a"], "environment": [{"name": "a", "value": "b"}]}
                ]
            },
        },
    ),
    (
        "ecs",
        "StartTask",
        {"taskDefinition": "<task-definition/web>", "containerInstances": ["<container-instance>"]},
    ),
    ("ecs", "StopTask", {"task": "<task>", "reason": "enough"}),
    ("ecs", "DescribeTasks", {"tasks": ["<task>"], "include": ["TAGS"]}),
    ("ecs", "GetTaskProtection", {"cluster": "default", "tasks": ["<task>"]}),
    (
        "ecs",
        "UpdateTaskProtection",
        {"cluster": "default", "tasks": ["<task>"], "protectionEnabled": True, "expiresInMinutes": 5},
    ),
    ("ecs", "SubmitTaskStateChange", {"task": "<task>", "status": "RUNNING", "cluster": "default"}),
    (
        "ecs",
        "SubmitContainerStateChange",
        {"task": "<task>", "containerName": "n0", "status": "STOPPED", "exitCode": 1},
    ),
    (
        "ecs",
        "UpdateContainerInstancesState",
        {"containerInstances": ["<container-instance>"], "status": "DRAINING"},
    ),
    (
        "ecs",
        "UpdateContainerInstancesState",
        {"containerInstances": ["<container-instance>"], "status": "ACTIVE"},
    ),
    (
        "ecs",
        "PutAttributes",
        {
            "attributes": [
                {
                    "name": "stack",
                    "value": "y",
                    "targetType": "container-instance",
                    "targetId": "<container-instance>",
                },
            ]
        },
    ),
    ("ecs", "ListAttributes", {"targetType": "container-instance", "attributeName": "stack"}),
    (
        "ecs",
        "CreateCapacityProvider",
        {
            "name": "<?p>",
            "autoScalingGroupProvider": {
                "autoScalingGroupArn": _SCALING_GROUP,
            },
        },
    ),
    (
        "ecs",
        "PutClusterCapacityProviders",
        {
            "cluster": "<cluster/c>",
            "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
        },
    ),
    ("ecs", "TagResource", {"resourceArn": "<service>", "tags": [{"key": "a", "value": "b"}]}),
    ("ecs", "ListTasks", {}),
    ("ecs", "ListContainerInstances", {}),
    (
        "ecs",
        "SubmitAttachmentStateChanges",
        {
            "attachments": [
                {"attachmentArn": "arn:aws:ecs:us-east-1:000000000000:attachment/a", "status": "ATTACHED"}
            ],
        },
    ),
    ("ecs", "PutAccountSettingDefault", {"name": "containerInsights", "value": "enabled"}),
    ("ecs", "DescribeServices", {"services": ["<service>"], "include": ["TAGS"]}),
    ("elbv2", "CreateLoadBalancer", {"Name": "<?lb>", "Subnets": ["subnet-1", "subnet-2"]}),
    ("elbv2", "CreateLoadBalancer", {"Name": "<?nlb>", "Subnets": ["subnet-1"], "Type": "network"}),
    (
        "elbv2",
        "CreateTargetGroup",
        {
            "Name": "<?tg>",
            "Protocol": "HTTP",
            "Port": 80,
            "VpcId": "vpc-1",
            "TargetType": "instance",
        },
    ),
    (
        "elbv2",
        "CreateTargetGroup",
        {
            "Name": "<?ip>",
            "Protocol": "HTTP",
            "Port": 80,
            "VpcId": "vpc-1",
            "TargetType": "ip",
        },
    ),
    (
        "elbv2",
        "CreateListener",
        {
            "LoadBalancerArn": "<loadbalancer/app>",
            "Protocol": "HTTP",
            "Port": 80,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": "<targetgroup/tg>"}],
        },
    ),
    (
        "elbv2",
        "CreateListener",
        {
            "LoadBalancerArn": "<loadbalancer/app>",
            "Protocol": "HTTP",
            "Port": 8080,
            "DefaultActions": [_FIXED],
        },
    ),
    (
        "elbv2",
        "CreateRule",
        {
            "ListenerArn": "<listener/app>",
            "Priority": 5,
            "Actions": [_FIXED],
            "Conditions": [{"Field": "path-pattern", "Values": ["/x/*"]}],
        },
    ),
    ("elbv2", "ModifyRule", {"RuleArn": "<listener-rule>", "Actions": [_FIXED]}),
    ("elbv2", "SetRulePriorities", {"RulePriorities": [{"RuleArn": "<listener-rule>", "Priority": 9}]}),
    ("elbv2", "ModifyListener", {"ListenerArn": "<listener/app>", "DefaultActions": [_FIXED]}),
    (
        "elbv2",
        "RegisterTargets",
        {
            "TargetGroupArn": "<targetgroup/ip>",
            "Targets": [{"Id": "10.0.0.5", "Port": 80}],
        },
    ),
    ("elbv2", "DeregisterTargets", {"TargetGroupArn": "<targetgroup/ip>", "Targets": [{"Id": "10.0.0.5"}]}),
    ("elbv2", "DescribeRules", {"ListenerArn": "<listener/app>"}),
    ("elbv2", "DescribeTargetHealth", {"TargetGroupArn": "<targetgroup>"}),
    ("elbv2", "AddTags", {"ResourceArns": ["<loadbalancer>"], "Tags": [{"Key": "a", "Value": "b"}]}),
    (
        "elbv2",
        "ModifyTargetGroupAttributes",
        {
            "TargetGroupArn": "<targetgroup>",
            "Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}],
        },
    ),
)
