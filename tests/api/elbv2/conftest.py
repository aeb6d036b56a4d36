"""Short ways to make what the tests of Elastic Load Balancing are about."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

from miniecs_api.wire.errors import AwsError

if TYPE_CHECKING:
    from tests.api.conftest import Aws

COMMON_CODES = {"ValidationError", "NotImplemented"}


@cache
def service_model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("elbv2", "service-2"), "elbv2")


class Elb:
    """``elb("CreateListener", …)`` calls the operation; the methods make things with defaults.

    botocore's model stands behind every call: it must accept the parameters, and know what is answered.
    """

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        shapes = service_model().operation_model(operation)
        given = {name: value for name, value in params.items() if value is not None}
        report = ParamValidator().validate(given, shapes.input_shape)
        assert not report.has_errors(), report.generate_report()
        result = self.aws.elbv2(operation, **params)
        _check_shape(result, shapes.output_shape)
        return result

    def refusal(self, operation: str, **params: Any) -> tuple[str, str]:
        """Code and message of the error that the call must end in; it must have written nothing."""
        seq = self.aws.store.seq
        with pytest.raises(AwsError) as caught:
            self.aws.elbv2(operation, **params)
        assert self.aws.store.seq == seq
        shapes = service_model().operation_model(operation)
        codes = {shape.metadata["error"]["code"] for shape in shapes.error_shapes}
        assert caught.value.code in codes | COMMON_CODES, f"{operation} knows no {caught.value.code}"
        return caught.value.code, caught.value.message

    def container_instance(self, id: str, zone: str = "us-east-1a", subnet: str = "subnet-1") -> None:
        """A container instance that says which subnet it stands in."""
        self.aws.ecs("CreateCluster", clusterName="default")
        document = {"instanceId": id, "availabilityZone": zone, "subnetId": subnet}
        self.aws.ecs(
            "RegisterContainerInstance",
            cluster="default",
            instanceIdentityDocument=json.dumps(document),
            totalResources=[
                {"name": name, "type": "INTEGER", "integerValue": 2048} for name in ("CPU", "MEMORY")
            ],
        )

    def load_balancer(self, name: str = "web", **params: Any) -> str:
        """Its ARN."""
        if params.get("Type") != "network":
            params.setdefault("Subnets", ["subnet-a", "subnet-b"])
        params.setdefault("Subnets", ["subnet-a"])
        made = self("CreateLoadBalancer", Name=name, **params)
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    def target_group(self, name: str = "blue", **params: Any) -> str:
        """Its ARN; of type ip unless told otherwise."""
        given = {"Protocol": "HTTP", "Port": 80, "VpcId": "vpc-1", "TargetType": "ip"} | params
        return str(self("CreateTargetGroup", Name=name, **given)["TargetGroups"][0]["TargetGroupArn"])

    def listener(self, load_balancer: str, target_group: str | None = None, **params: Any) -> str:
        """Its ARN; without a target group it answers 200 by itself."""
        given = {"Protocol": "HTTP", "Port": 80, "DefaultActions": [self.action(target_group)]} | params
        made = self("CreateListener", LoadBalancerArn=load_balancer, **given)
        return str(made["Listeners"][0]["ListenerArn"])

    def rule(self, listener: str, priority: int = 10, target_group: str | None = None, **params: Any) -> str:
        """Its ARN; for one path."""
        given = {
            "Conditions": [{"Field": "path-pattern", "Values": ["/a/*"]}],
            "Actions": [self.action(target_group)],
        } | params
        made = self("CreateRule", ListenerArn=listener, Priority=priority, **given)
        return str(made["Rules"][0]["RuleArn"])

    @staticmethod
    def action(target_group: str | None = None) -> dict[str, Any]:
        if target_group is not None:
            return {"Type": "forward", "TargetGroupArn": target_group}
        return {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}

    def health(self, target_group: str, **params: Any) -> list[tuple[str, int, str, str | None]]:
        """(id, port, state, reason) of each target."""
        shown = self("DescribeTargetHealth", TargetGroupArn=target_group, **params)
        return [
            (h["Target"]["Id"], h["Target"]["Port"], h["TargetHealth"]["State"], h["TargetHealth"]["Reason"])
            for h in shown["TargetHealthDescriptions"]
        ]


@pytest.fixture
def elb(aws: Aws) -> Elb:
    return Elb(aws)


def _check_shape(value: Any, shape: Shape) -> None:
    """Every member that is answered is one that the output shape has."""
    if value is None:
        return
    if shape.type_name == "structure":
        unknown = value.keys() - shape.members.keys()
        assert not unknown, f"{shape.name} has no {unknown}"
        for name, member in value.items():
            _check_shape(member, shape.members[name])
    elif shape.type_name == "list":
        for element in value:
            _check_shape(element, shape.member)
    else:
        kinds = {"string": str, "boolean": bool, "integer": int, "timestamp": float}
        assert isinstance(value, kinds[shape.type_name]), f"{shape.name} is not {value!r}"
