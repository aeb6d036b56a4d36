"""Load balancers: what is made, found, moved and refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from miniecs.model.load_balancing import Listener, Rule
from miniecs.model.network import (
    SecurityGroup,
    Subnet,
    Vpc,
    default_group_id,
    default_subnet_id,
    default_vpc_id,
)
from miniecs_api import networks
from miniecs_api.context import ApiSettings

if TYPE_CHECKING:
    from tests.api.conftest import Aws
    from tests.api.elbv2.conftest import Elb

MISSING = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/none/0123456789abcdef"


def test_an_application_load_balancer(elb: Elb) -> None:
    made = elb(
        "CreateLoadBalancer",
        Name="web",
        Subnets=["subnet-b", "subnet-a"],
        SecurityGroups=["sg-1"],
        Tags=[{"Key": "team", "Value": "blue"}],
    )["LoadBalancers"][0]
    id = made["LoadBalancerArn"].rpartition("/")[2]
    number = made["DNSName"].removeprefix("web-").partition(".")[0]
    assert len(id) == 16 and number.isdecimal()
    expected = {
        "LoadBalancerArn": f"arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/web/{id}",
        "DNSName": f"web-{number}.us-east-1.elb.localhost",
        "CanonicalHostedZoneId": "Z35SXDOTRQ7X7K",
        "CreatedTime": 1_700_000_000.0,
        "LoadBalancerName": "web",
        "Scheme": "internet-facing",
        "VpcId": "vpc-09fb161df20f21d72",
        "State": {"Code": "provisioning", "Reason": None},
        "Type": "application",
        "AvailabilityZones": [
            {"ZoneName": "us-east-1a", "SubnetId": "subnet-b", "LoadBalancerAddresses": []},
            {"ZoneName": "us-east-1b", "SubnetId": "subnet-a", "LoadBalancerAddresses": []},
        ],
        "IpAddressType": "ipv4",
        "SecurityGroups": ["sg-1"],
    }
    assert made == expected
    found = elb("DescribeLoadBalancers", Names=["web"])
    assert found == {
        "LoadBalancers": [expected | {"State": {"Code": "active", "Reason": None}}],
        "NextMarker": None,
    }


def test_a_network_load_balancer(elb: Elb) -> None:
    made = elb(
        "CreateLoadBalancer",
        Name="tcp",
        Type="network",
        Scheme="internal",
        SubnetMappings=[{"SubnetId": "subnet-a", "PrivateIPv4Address": "10.0.0.9"}],
    )["LoadBalancers"][0]
    id = made["LoadBalancerArn"].rpartition("/")[2]
    assert made["LoadBalancerArn"].endswith(f":loadbalancer/net/tcp/{id}")
    assert made["DNSName"] == f"tcp-{id}.us-east-1.elb.localhost"
    assert made["Type"] == "network" and made["Scheme"] == "internal"
    assert "SecurityGroups" not in made
    assert made["AvailabilityZones"] == [
        {
            "ZoneName": "us-east-1a",
            "SubnetId": "subnet-a",
            "LoadBalancerAddresses": [{"PrivateIPv4Address": "10.0.0.9"}],
        }
    ]
    assert elb.aws.hints[1].startswith("The load balancer's addresses are kept and shown")


def test_the_same_settings_give_the_same_load_balancer(elb: Elb) -> None:
    first = elb.load_balancer(Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    again = elb.load_balancer(
        Subnets=["subnet-b", "subnet-a"], Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}]
    )
    assert again == first
    assert len(elb("DescribeLoadBalancers")["LoadBalancers"]) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"Scheme": "internal"},
        {"Type": "network"},
        {"Subnets": ["subnet-a", "subnet-c"]},
        {"SecurityGroups": ["sg-2"]},
        {"IpAddressType": "dualstack"},
        {"Tags": [{"Key": "a", "Value": "1"}]},
    ],
)
def test_other_settings_under_the_same_name(elb: Elb, other: dict[str, Any]) -> None:
    elb.load_balancer()
    params = {"Name": "web", "Subnets": ["subnet-a", "subnet-b"]} | other
    assert elb.refusal("CreateLoadBalancer", **params) == (
        "DuplicateLoadBalancerName",
        "A load balancer with the same name 'web' exists, but with different settings",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "A load balancer name must be specified"),
        ("a" * 33, f"The load balancer name '{'a' * 33}' cannot be longer than '32' characters"),
        (
            "a_b",
            "The load balancer name 'a_b' can only contain characters that are alphanumeric characters "
            "and hyphens(-)",
        ),
        ("-a", "The load balancer name '-a' cannot begin or end with a hyphen(-)"),
        ("a-", "The load balancer name 'a-' cannot begin or end with a hyphen(-)"),
        ("internal-a", "The load balancer name 'internal-a' cannot begin with 'internal-'"),
    ],
)
def test_names(elb: Elb, name: str, message: str) -> None:
    refused = elb.refusal("CreateLoadBalancer", Name=name, Subnets=["subnet-a", "subnet-b"])
    assert refused == ("ValidationError", message)


TWO = "At least two subnets in two different Availability Zones must be specified"


@pytest.mark.parametrize(
    ("params", "refusal"),
    [
        ({}, ("ValidationError", TWO)),
        ({"Subnets": ["subnet-a"]}, ("ValidationError", TWO)),
        ({"Subnets": ["subnet-a", "subnet-a"]}, ("ValidationError", TWO)),
        (
            {"Subnets": ["subnet-a", "subnet-b", "subnet-a"]},
            (
                "InvalidConfigurationRequest",
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
            ),
        ),
        (
            {"Subnets": ["subnet-a"], "SubnetMappings": [{"SubnetId": "subnet-b"}]},
            ("ValidationError", "You must specify either subnets or subnet mappings, but not both"),
        ),
        ({"Type": "network"}, ("ValidationError", "At least one subnet must be specified")),
        (
            {"Subnets": ["subnet-a", "net-b"]},
            ("SubnetNotFound", "The subnet ID 'net-b' is not valid"),
        ),
        (
            {"SubnetMappings": [{"SubnetId": "subnet-a", "AllocationId": "eipalloc-1"}]},
            (
                "InvalidConfigurationRequest",
                "You cannot specify IP addresses for load balancers with type 'application'",
            ),
        ),
        (
            {"Subnets": ["subnet-a", "subnet-b"], "SecurityGroups": ["default"]},
            ("ValidationError", "Security group 'default' is not valid"),
        ),
        (
            {"Type": "network", "Subnets": ["subnet-a"], "IpAddressType": "dualstack-without-public-ipv4"},
            (
                "InvalidConfigurationRequest",
                "The specified IP address type is not supported on load balancers with type 'network'",
            ),
        ),
        (
            {"Type": "gateway", "Subnets": ["subnet-a"]},
            (
                "NotImplemented",
                "miniecs does not support load balancers of type 'gateway', and would not act on it.",
            ),
        ),
        (
            {"Subnets": ["subnet-a", "subnet-b"], "IpamPools": {"Ipv4IpamPoolId": "ipam-pool-1"}},
            ("NotImplemented", "miniecs does not support IpamPools, and would not act on it."),
        ),
        (
            {"Subnets": ["subnet-a", "subnet-b"], "Tags": [{"Key": "a"}, {"Key": "a", "Value": "2"}]},
            ("DuplicateTagKeys", "Tag key was specified more than once: a"),
        ),
        (
            {"Subnets": ["subnet-a", "subnet-b"], "Tags": [{"Key": f"k{n}"} for n in range(51)]},
            ("TooManyTags", "You've reached the limit on the number of tags for this resource."),
        ),
    ],
)
def test_refused(elb: Elb, params: dict[str, Any], refusal: tuple[str, str]) -> None:
    assert elb.refusal("CreateLoadBalancer", Name="web", **params) == refusal


def test_at_most_fifty_of_a_type(elb: Elb) -> None:
    for n in range(50):
        elb.load_balancer(f"web{n}")
    assert elb.refusal("CreateLoadBalancer", Name="more", Subnets=["subnet-a", "subnet-b"]) == (
        "TooManyLoadBalancers",
        "The maximum number of application load balancers has been reached",
    )
    elb.load_balancer("tcp", Type="network")
    elb.load_balancer("web0")  # it exists: nothing is made


def test_strict_refuses_what_nobody_made(elb: Elb, make_aws: Callable[..., Aws]) -> None:
    elb.aws = make_aws(settings=ApiSettings(strict=True))
    assert elb.refusal("CreateLoadBalancer", Name="web", Subnets=["subnet-1", "subnet-2"]) == (
        "SubnetNotFound",
        "InvalidSubnetID.NotFound",
    )
    elb.container_instance("i-00000000000000001", zone="us-east-1a", subnet="subnet-1")
    elb.container_instance("i-00000000000000002", zone="us-east-1b", subnet="subnet-2")
    subnets: dict[str, Any] = {"Subnets": ["subnet-1", "subnet-2"]}
    code, message = elb.refusal("CreateLoadBalancer", Name="web", SecurityGroups=["sg-1"], **subnets)
    assert code == "InvalidSecurityGroup"
    assert message.startswith("The security group 'sg-1' does not exist (Service: AmazonEC2; Status Code")
    elb.load_balancer(**subnets)


def test_the_default_vpc_is_known_without_asking_anyone(elb: Elb, make_aws: Callable[..., Aws]) -> None:
    elb.aws = make_aws(settings=ApiSettings(strict=True))
    scope = elb.aws.scope
    subnets = [default_subnet_id(scope, f"us-east-1{letter}") for letter in "ca"]
    group = default_group_id(scope)
    made = elb("CreateLoadBalancer", Name="web", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    assert (made["VpcId"], made["SecurityGroups"]) == (default_vpc_id(scope), [group])
    assert [zone["ZoneName"] for zone in made["AvailabilityZones"]] == ["us-east-1a", "us-east-1c"]
    target_group = elb.target_group(VpcId=default_vpc_id(scope))
    elb.listener(made["LoadBalancerArn"], target_group)


def test_an_application_load_balancer_without_groups_gets_the_vpcs_default_one(elb: Elb) -> None:
    elb.load_balancer("web")
    elb.load_balancer("tcp", Type="network")
    web, tcp = elb("DescribeLoadBalancers")["LoadBalancers"]
    assert web["SecurityGroups"] == [default_group_id(elb.aws.scope)]
    assert "SecurityGroups" not in tcp
    assert elb.load_balancer("web") == web["LoadBalancerArn"], "made again, though nothing is different"


def test_what_is_in_another_vpc_is_refused(elb: Elb) -> None:
    """Subnets, security groups and target groups; a VPC that nobody made stands for the default one."""
    scope = elb.aws.scope
    with elb.aws.store.transaction() as tx:
        networks.begin(tx, scope)
        tx.put(Vpc(scope, "vpc-own"))
        for zone in ("us-east-1a", "us-east-1b"):
            tx.put(Subnet(scope, f"subnet-own-{zone[-1]}", "vpc-own", zone, made=True))
        tx.put(SecurityGroup(scope, "sg-own", "vpc-own", "own", made=True))
    own = elb.load_balancer("own", Subnets=["subnet-own-a", "subnet-own-b"], SecurityGroups=["sg-own"])
    mixed = {"Name": "web", "Subnets": ["subnet-own-a", default_subnet_id(scope, "us-east-1b")]}
    assert elb.refusal("CreateLoadBalancer", **mixed) == (
        "InvalidConfigurationRequest",
        "All subnets must belong to the same VPC",
    )
    foreign = {"Name": "web", "Subnets": ["subnet-a", "subnet-b"], "SecurityGroups": ["sg-own"]}
    assert elb.refusal("CreateLoadBalancer", **foreign) == (
        "InvalidConfigurationRequest",
        "One or more security groups are invalid",
    )
    made_up = elb.target_group("elsewhere", VpcId="vpc-12345678")
    assert "Nobody made vpc-12345678" in " ".join(elb.aws.hints)
    forward = {"Protocol": "HTTP", "Port": 80, "DefaultActions": [elb.action(made_up)]}
    assert elb.refusal("CreateListener", LoadBalancerArn=own, **forward) == (
        "InvalidConfigurationRequest",
        f"Target group '{made_up}' is in a different VPC than load balancer '{own}'",
    )
    elb.listener(own, elb.target_group("here", VpcId="vpc-own"))
    elb.listener(elb.load_balancer(), made_up)


def test_the_subnets_of_container_instances_are_known(elb: Elb) -> None:
    elb.container_instance("i-00000000000000001", zone="us-east-1c", subnet="subnet-1")
    elb.container_instance("i-00000000000000002", zone="us-east-1a", subnet="subnet-2")
    made = elb("CreateLoadBalancer", Name="web", Subnets=["subnet-x", "subnet-1", "subnet-2"])
    shown = made["LoadBalancers"][0]
    assert shown["VpcId"] == default_vpc_id(elb.aws.scope)
    assert [(z["ZoneName"], z["SubnetId"]) for z in shown["AvailabilityZones"]] == [
        ("us-east-1a", "subnet-2"),
        ("us-east-1b", "subnet-x"),
        ("us-east-1c", "subnet-1"),
    ]


def test_describe_in_pages_by_age(elb: Elb) -> None:
    for name in ("zeta", "alpha", "mid"):
        elb.load_balancer(name)
    first = elb("DescribeLoadBalancers", PageSize=2)
    assert [b["LoadBalancerName"] for b in first["LoadBalancers"]] == ["zeta", "alpha"]
    second = elb("DescribeLoadBalancers", PageSize=2, Marker=first["NextMarker"])
    assert [b["LoadBalancerName"] for b in second["LoadBalancers"]] == ["mid"]
    assert second["NextMarker"] is None
    assert elb.refusal("DescribeLoadBalancers", Marker="?")[0] == "ValidationError"


def test_describe_by_name_and_arn(elb: Elb) -> None:
    arns = [elb.load_balancer(name) for name in ("one", "two")]
    by_arn = elb("DescribeLoadBalancers", LoadBalancerArns=arns[::-1])["LoadBalancers"]
    assert [b["LoadBalancerName"] for b in by_arn] == ["two", "one"]
    assert elb.refusal("DescribeLoadBalancers", Names=["one", "x", "y"]) == (
        "LoadBalancerNotFound",
        "Load balancers '[x, y]' not found",
    )
    assert elb.refusal("DescribeLoadBalancers", LoadBalancerArns=[MISSING]) == (
        "LoadBalancerNotFound",
        "One or more load balancers not found",
    )
    assert elb.refusal("DescribeLoadBalancers", LoadBalancerArns=[arns[0]], Names=["one"]) == (
        "ValidationError",
        "Load balancer names and load balancer ARNs cannot be specified at the same time",
    )
    assert elb.refusal("DescribeLoadBalancers", Names=[f"n{n}" for n in range(21)]) == (
        "ValidationError",
        "Up to 20 load balancers can be described in one call",
    )


@pytest.mark.parametrize(
    "arn",
    [
        "web",
        MISSING.replace("us-east-1", "eu-west-1"),
        MISSING.replace("loadbalancer", "targetgroup"),
        MISSING.replace("elasticloadbalancing", "ecs"),
    ],
)
def test_what_is_not_an_arn_of_a_load_balancer_here(elb: Elb, arn: str) -> None:
    refusal = ("ValidationError", f"'{arn}' is not a valid load balancer ARN")
    assert elb.refusal("DescribeLoadBalancers", LoadBalancerArns=[arn]) == refusal
    assert elb.refusal("DeleteLoadBalancer", LoadBalancerArn=arn) == refusal


def test_scopes_are_apart(elb: Elb) -> None:
    arn = elb.load_balancer()
    elb.aws.scope = elb.aws.scope._replace(account="111111111111")
    assert elb("DescribeLoadBalancers")["LoadBalancers"] == []
    assert elb.refusal("DescribeLoadBalancers", LoadBalancerArns=[arn])[0] == "LoadBalancerNotFound"
    assert elb("DeleteLoadBalancer", LoadBalancerArn=arn) == {}
    elb.aws.scope = elb.aws.scope._replace(account="000000000000")
    assert len(elb("DescribeLoadBalancers")["LoadBalancers"]) == 1


def test_deleting_takes_listeners_and_rules_along(elb: Elb) -> None:
    balancer, group = elb.load_balancer(), elb.target_group()
    listener = elb.listener(balancer, group)
    elb.rule(listener, 1, group)
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    assert elb("DeleteLoadBalancer", LoadBalancerArn=balancer) == {}
    assert list(elb.aws.store.all(Listener)) == [] and list(elb.aws.store.all(Rule)) == []
    assert elb.health(group) == [("10.0.0.1", 80, "unused", "Target.NotInUse")]
    assert elb("DescribeTargetGroups")["TargetGroups"][0]["LoadBalancerArns"] == []
    assert elb("DeleteLoadBalancer", LoadBalancerArn=balancer) == {}


def test_deletion_protection(elb: Elb) -> None:
    arn = elb.load_balancer()
    protect = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    elb("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=protect)
    assert elb.refusal("DeleteLoadBalancer", LoadBalancerArn=arn) == (
        "OperationNotPermitted",
        f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
    )


def test_a_load_balancer_that_is_a_target_stays(elb: Elb) -> None:
    balancer = elb.load_balancer()
    elb.listener(balancer)
    group = elb.target_group("front", Protocol="TCP", TargetType="alb")
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": balancer}])
    assert elb.refusal("DeleteLoadBalancer", LoadBalancerArn=balancer) == (
        "ResourceInUse",
        f"Load balancer '{balancer}' cannot be deleted because it is a target of '{group}'",
    )


def test_set_subnets_keeps_the_zones_of_those_that_stay(elb: Elb) -> None:
    arn = elb.load_balancer(Subnets=["subnet-a", "subnet-b", "subnet-c"])
    changed = elb("SetSubnets", LoadBalancerArn=arn, Subnets=["subnet-d", "subnet-c"])
    expected = [
        {"ZoneName": "us-east-1c", "SubnetId": "subnet-c", "LoadBalancerAddresses": []},
        {"ZoneName": "us-east-1d", "SubnetId": "subnet-d", "LoadBalancerAddresses": []},
    ]
    assert changed == {"AvailabilityZones": expected, "IpAddressType": "ipv4"}
    assert elb("DescribeLoadBalancers")["LoadBalancers"][0]["AvailabilityZones"] == expected
    assert elb.refusal("SetSubnets", LoadBalancerArn=arn, Subnets=["subnet-d"]) == ("ValidationError", TWO)
    assert (
        elb.refusal("SetSubnets", LoadBalancerArn=MISSING, Subnets=["subnet-d"])[0] == "LoadBalancerNotFound"
    )


def test_set_security_groups(elb: Elb) -> None:
    arn = elb.load_balancer()
    assert elb("SetSecurityGroups", LoadBalancerArn=arn, SecurityGroups=["sg-2", "sg-1", "sg-2"]) == {
        "SecurityGroupIds": ["sg-2", "sg-1"]
    }
    assert elb("DescribeLoadBalancers")["LoadBalancers"][0]["SecurityGroups"] == ["sg-2", "sg-1"]
    assert elb.refusal("SetSecurityGroups", LoadBalancerArn=arn, SecurityGroups=[]) == (
        "ValidationError",
        "At least one security group must be specified",
    )
    network = elb.load_balancer("tcp", Type="network")
    refused = elb.refusal("SetSecurityGroups", LoadBalancerArn=network, SecurityGroups=["sg-1"])
    assert refused[0] == "InvalidConfigurationRequest"


def test_set_ip_address_type(elb: Elb) -> None:
    arn = elb.load_balancer()
    assert elb("SetIpAddressType", LoadBalancerArn=arn, IpAddressType="dualstack") == {
        "IpAddressType": "dualstack"
    }
    assert elb("DescribeLoadBalancers")["LoadBalancers"][0]["IpAddressType"] == "dualstack"
