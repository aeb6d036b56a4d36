"""The real clients: boto3 over every operation, and the AWS CLI with its waiters, over HTTP to the door."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from miniecs_api.app import create_app
from miniecs_api.door import DoorSettings

if TYPE_CHECKING:
    from tests.api.conftest import Aws

pytestmark = pytest.mark.slow

AWS_CLI = Path(sys.executable).with_name("aws")
CERT = "arn:aws:acm:us-east-1:000000000000:certificate/11111111-1111-1111-1111-111111111111"


class Unused:
    """The rest of AWS and the server's administration, which nobody here asks for."""

    def health(self) -> dict[str, Any]:
        raise AssertionError("asked for health")

    async def reset(self, restore: bool) -> None:
        raise AssertionError("asked to reset")

    async def forward(self, *request: Any) -> Any:
        raise AssertionError(f"forwarded {request}")


@pytest.fixture
def url(aws: Aws) -> Iterator[str]:
    """A server around the operations of ``aws``."""
    app = create_app(aws.operations, Unused(), Unused(), DoorSettings())
    # Bound before the thread begins: whoever connects early waits in the backlog.
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive(), "uvicorn did not stop within 10 s"


@pytest.fixture
def boto(url: str) -> Any:
    return boto3.client(
        "elbv2",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="x",
        config=Config(retries={"max_attempts": 1}),
    )


@pytest.fixture
def cli(url: str) -> Callable[[str], Any]:
    """``cli("describe-load-balancers")`` gives the answer; a failure is the test's."""

    def run(command: str) -> Any:
        done = subprocess.run(
            [AWS_CLI, "elbv2", *command.split()],
            env=os.environ
            | {
                "AWS_ENDPOINT_URL": url,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "000000000000",
                "AWS_SECRET_ACCESS_KEY": "x",
                "AWS_PAGER": "",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_boto3_through_every_operation(boto: Any) -> None:
    made = boto.create_load_balancer(
        Name="web", Subnets=["subnet-a", "subnet-b"], Tags=[{"Key": "a", "Value": "1"}]
    )["LoadBalancers"][0]
    balancer = made["LoadBalancerArn"]
    assert made["State"] == {"Code": "provisioning"} and made["CreatedTime"].timestamp() == 1_700_000_000.0
    assert boto.describe_load_balancers()["LoadBalancers"][0]["State"] == {"Code": "active"}
    assert (
        boto.set_subnets(LoadBalancerArn=balancer, Subnets=["subnet-a", "subnet-c"])["IpAddressType"]
        == "ipv4"
    )
    assert boto.set_security_groups(LoadBalancerArn=balancer, SecurityGroups=["sg-1"])[
        "SecurityGroupIds"
    ] == ["sg-1"]
    boto.set_ip_address_type(LoadBalancerArn=balancer, IpAddressType="ipv4")
    timeout = [{"Key": "idle_timeout.timeout_seconds", "Value": "30"}]
    boto.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=timeout)
    assert timeout[0] in boto.describe_load_balancer_attributes(LoadBalancerArn=balancer)["Attributes"]

    group = boto.create_target_group(Name="blue", Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType="ip")[
        "TargetGroups"
    ][0]["TargetGroupArn"]
    changed = boto.modify_target_group(
        TargetGroupArn=group, HealthCheckPath="/up", Matcher={"HttpCode": "200,204"}
    )
    assert changed["TargetGroups"][0]["Matcher"] == {"HttpCode": "200,204"}
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]
    boto.modify_target_group_attributes(TargetGroupArn=group, Attributes=delay)
    assert delay[0] in boto.describe_target_group_attributes(TargetGroupArn=group)["Attributes"]
    boto.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}, {"Id": "10.0.0.2", "Port": 81}])

    listener = boto.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": CERT}],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]["ListenerArn"]
    boto.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": CERT[:-1] + "2"}])
    boto.remove_listener_certificates(
        ListenerArn=listener, Certificates=[{"CertificateArn": CERT[:-1] + "2"}]
    )
    assert boto.describe_listener_certificates(ListenerArn=listener)["Certificates"] == [
        {"CertificateArn": CERT, "IsDefault": True}
    ]
    server = [{"Key": "routing.http.response.server.enabled", "Value": "false"}]
    boto.modify_listener_attributes(ListenerArn=listener, Attributes=server)
    assert server[0] in boto.describe_listener_attributes(ListenerArn=listener)["Attributes"]
    boto.modify_listener(ListenerArn=listener, Port=8443)
    assert boto.describe_listeners(ListenerArns=[listener])["Listeners"][0]["Port"] == 8443

    query = {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1&2"}]}}
    rule = boto.create_rule(
        ListenerArn=listener,
        Priority=1,
        Conditions=[query],
        Actions=[{"Type": "redirect", "RedirectConfig": {"Path": "/x/#{path}", "StatusCode": "HTTP_302"}}],
    )["Rules"][0]["RuleArn"]
    boto.set_rule_priorities(RulePriorities=[{"RuleArn": rule, "Priority": 2}])
    boto.modify_rule(RuleArn=rule, Actions=[{"Type": "forward", "TargetGroupArn": group}])
    rules = boto.describe_rules(ListenerArn=listener)["Rules"]
    assert [(r["Priority"], r["IsDefault"]) for r in rules] == [("2", False), ("default", True)]
    assert rules[0]["Conditions"] == [query]

    health = boto.describe_target_health(TargetGroupArn=group, Include=["All"])["TargetHealthDescriptions"]
    assert [h["TargetHealth"]["Reason"] for h in health] == ["Elb.RegistrationInProgress"] * 2
    boto.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    boto.add_tags(ResourceArns=[balancer, rule], Tags=[{"Key": "a", "Value": "2"}])
    boto.remove_tags(ResourceArns=[rule], TagKeys=["a"])
    assert boto.describe_tags(ResourceArns=[balancer, rule])["TagDescriptions"] == [
        {"ResourceArn": balancer, "Tags": [{"Key": "a", "Value": "2"}]},
        {"ResourceArn": rule, "Tags": []},
    ]
    assert boto.describe_account_limits(PageSize=1)["NextMarker"]
    assert boto.describe_ssl_policies(Names=["ELBSecurityPolicy-2016-08"])["SslPolicies"][0]["Ciphers"]

    with pytest.raises(boto.exceptions.ResourceInUseException):
        boto.delete_target_group(TargetGroupArn=group)
    boto.delete_rule(RuleArn=rule)
    boto.delete_listener(ListenerArn=listener)
    boto.delete_load_balancer(LoadBalancerArn=balancer)
    boto.delete_target_group(TargetGroupArn=group)
    assert boto.describe_target_groups()["TargetGroups"] == []


def test_boto3_s_errors(boto: Any) -> None:
    with pytest.raises(boto.exceptions.LoadBalancerNotFoundException) as caught:
        boto.describe_load_balancers(Names=["none"])
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("LoadBalancerNotFound", "Load balancers '[none]' not found")
    with pytest.raises(ClientError) as refused:
        boto.create_load_balancer(Name="web", Type="gateway", Subnets=["subnet-a"])
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert refused.value.response["Error"]["Code"] == "NotImplemented"


def test_boto3_s_paginators(boto: Any) -> None:
    for n in range(5):
        boto.create_target_group(Name=f"tg{n}", Protocol="HTTP", Port=80, VpcId="vpc-1")
    pages = list(boto.get_paginator("describe_target_groups").paginate(PaginationConfig={"PageSize": 2}))
    assert [[g["TargetGroupName"] for g in page["TargetGroups"]] for page in pages] == [
        ["tg0", "tg1"],
        ["tg2", "tg3"],
        ["tg4"],
    ]


def test_the_cli_from_load_balancer_to_nothing(cli: Callable[[str], Any]) -> None:
    balancer = cli("create-load-balancer --name web --subnets subnet-a subnet-b --security-groups sg-1")[
        "LoadBalancers"
    ][0]["LoadBalancerArn"]
    cli(f"wait load-balancer-available --load-balancer-arns {balancer}")
    cli("wait load-balancer-exists --names web")
    group = cli("create-target-group --name blue --protocol HTTP --port 80 --vpc-id vpc-1 --target-type ip")[
        "TargetGroups"
    ][0]["TargetGroupArn"]
    listener = cli(
        f"create-listener --load-balancer-arn {balancer} --protocol HTTP --port 80 "
        f"--default-actions Type=forward,TargetGroupArn={group}"
    )["Listeners"][0]["ListenerArn"]
    rule = cli(
        f"create-rule --listener-arn {listener} --priority 10 --conditions Field=path-pattern,Values=/img/* "
        f"--actions Type=forward,TargetGroupArn={group}"
    )["Rules"][0]
    assert rule["Conditions"] == [
        {"Field": "path-pattern", "Values": ["/img/*"], "PathPatternConfig": {"Values": ["/img/*"]}}
    ]
    cli(f"register-targets --target-group-arn {group} --targets Id=10.0.0.1,Port=80 Id=10.0.0.2")
    health = cli(f"describe-target-health --target-group-arn {group}")["TargetHealthDescriptions"]
    assert [(h["Target"], h["TargetHealth"]["State"]) for h in health] == [
        ({"Id": "10.0.0.1", "Port": 80}, "initial"),
        ({"Id": "10.0.0.2", "Port": 80}, "initial"),
    ]
    delay = "Key=deregistration_delay.timeout_seconds,Value=0"
    cli(f"modify-target-group-attributes --target-group-arn {group} --attributes {delay}")
    cli(f"deregister-targets --target-group-arn {group} --targets Id=10.0.0.1")
    cli(f"wait target-deregistered --target-group-arn {group} --targets Id=10.0.0.1,Port=80")
    cli(f"delete-load-balancer --load-balancer-arn {balancer}")
    cli(f"wait load-balancers-deleted --load-balancer-arns {balancer}")
    cli(f"delete-target-group --target-group-arn {group}")
