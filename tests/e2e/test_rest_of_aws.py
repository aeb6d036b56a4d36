"""AWS's other services at the same endpoint: moto's, and nobody's where ours is yet to come."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import StartServer
from .process import ServerProcess

ROLE = {"Version": "2012-10-17", "Statement": []}


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(instances=0)


def test_moto_answers_and_remembers(server: ServerProcess) -> None:
    """By real clients; what was made is there after a kill."""
    ec2, iam, s3 = server.client("ec2"), server.client("iam"), server.client("s3")
    ssm, vault = server.client("ssm"), server.client("secretsmanager")
    assert [vpc["IsDefault"] for vpc in ec2.describe_vpcs()["Vpcs"]] == [True]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    role = iam.create_role(RoleName="task", AssumeRolePolicyDocument=json.dumps(ROLE))["Role"]["Arn"]
    assert role == "arn:aws:iam::000000000000:role/task"
    s3.create_bucket(Bucket="course")
    s3.put_object(Bucket="course", Key="notes/one.txt", Body=b"hello \x00 there")
    ssm.put_parameter(Name="/app/color", Value="red", Type="String")
    secret = vault.create_secret(Name="password", SecretString="open")["ARN"]

    def look() -> list[Any]:
        return [
            [each["SubnetId"] for each in ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]],
            iam.get_role(RoleName="task")["Role"]["Arn"],
            s3.get_object(Bucket="course", Key="notes/one.txt")["Body"].read(),
            ssm.get_parameter(Name="/app/color")["Parameter"]["Value"],
            vault.get_secret_value(SecretId=secret)["SecretString"],
        ]

    expected = [[subnet], role, b"hello \x00 there", "red", "open"]
    assert look() == expected
    server.restart()
    assert look() == expected
    foreign = server.client("ssm", account="111122223333")
    with pytest.raises(ClientError) as caught:
        foreign.get_parameter(Name="/app/color")
    assert caught.value.response["Error"]["Code"] == "ParameterNotFound"
    server.request("POST", "/_miniecs/reset")
    assert s3.list_buckets()["Buckets"] == []
    assert [each["IsDefault"] for each in ec2.describe_vpcs()["Vpcs"]] == [True]


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("logs", lambda client: client.describe_log_groups()),
        ("cloudwatch", lambda client: client.list_metrics()),
        ("application-autoscaling", lambda c: c.describe_scalable_targets(ServiceNamespace="ecs")),
        ("servicediscovery", lambda client: client.list_namespaces()),
        ("events", lambda client: client.list_rules()),
        ("ecs", lambda client: client.list_daemons()),
        ("elbv2", lambda client: client.describe_trust_stores()),
        ("autoscaling", lambda client: client.describe_auto_scaling_groups()),
        ("cloudformation", lambda client: client.list_stacks()),
        ("batch", lambda client: client.describe_job_queues()),
        ("lambda", lambda client: client.list_functions()),
    ],
)
def test_what_will_be_ours_is_nobodys(
    server: ServerProcess, service: str, call: Callable[[Any], Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        call(server.client(service))
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert response["Error"]["Code"] == "NotImplemented"
    assert f" of {service} is not " in response["Error"]["Message"]
