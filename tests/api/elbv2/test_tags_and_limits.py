"""Tags, account limits and security policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniecs_api.elbv2.quotas import LIMITS
from miniecs_api.elbv2.ssl_policies import POLICIES

if TYPE_CHECKING:
    from tests.api.elbv2.conftest import Elb


def test_tags_on_everything(elb: Elb) -> None:
    balancer, group = elb.load_balancer(), elb.target_group()
    listener = elb.listener(balancer, Tags=[{"Key": "made", "Value": "here"}])
    rule = elb.rule(listener)
    default = elb("DescribeRules", ListenerArn=listener)["Rules"][1]["RuleArn"]
    everything = [balancer, group, rule, default, listener]
    assert elb("AddTags", ResourceArns=everything, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}]) == {}
    elb("AddTags", ResourceArns=everything, Tags=[{"Key": "a", "Value": "2"}])
    both = [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    expected = [{"ResourceArn": arn, "Tags": both} for arn in everything]
    expected[-1] = {"ResourceArn": listener, "Tags": [{"Key": "made", "Value": "here"}, *both]}
    assert elb("DescribeTags", ResourceArns=everything) == {"TagDescriptions": expected}
    assert elb("RemoveTags", ResourceArns=everything, TagKeys=["a", "made", "none"]) == {}
    left = [{"Key": "b", "Value": ""}]
    assert elb("DescribeTags", ResourceArns=everything)["TagDescriptions"] == [
        {"ResourceArn": arn, "Tags": left} for arn in everything
    ]


def test_tags_refused(elb: Elb) -> None:
    arn = elb.load_balancer()
    assert elb.refusal("AddTags", ResourceArns=[arn], Tags=[{"Key": "a"}, {"Key": "a"}]) == (
        "DuplicateTagKeys",
        "Tag key was specified more than once: a",
    )
    elb("AddTags", ResourceArns=[arn], Tags=[{"Key": f"k{n}"} for n in range(50)])
    assert elb.refusal("AddTags", ResourceArns=[arn], Tags=[{"Key": "one-more"}]) == (
        "TooManyTags",
        "You've reached the limit on the number of tags for this resource.",
    )
    elb("AddTags", ResourceArns=[arn], Tags=[{"Key": "k0", "Value": "new"}])
    assert elb.refusal("AddTags", ResourceArns=[arn], Tags=[{"Key": "AWS:x"}]) == (
        "ValidationError",
        "Tag keys that start with 'aws:' are reserved for system use",
    )
    assert elb.refusal("DescribeTags", ResourceArns=["x"]) == (
        "ValidationError",
        "'x' is not a valid resource ARN",
    )
    assert elb.refusal("DescribeTags", ResourceArns=[arn.replace("/web/", "/gone/")]) == (
        "LoadBalancerNotFound",
        "One or more load balancers not found",
    )
    assert elb.refusal("DescribeTags", ResourceArns=[arn] * 21) == (
        "ValidationError",
        "Up to 20 resources can be described in one call",
    )
    store = "arn:aws:elasticloadbalancing:us-east-1:000000000000:truststore/a/0123456789abcdef"
    assert elb.refusal("DescribeTags", ResourceArns=[store])[0] == "NotImplemented"


def test_nothing_is_tagged_when_one_resource_is_missing(elb: Elb) -> None:
    arn = elb.load_balancer()
    gone = arn.replace("/web/", "/gone/")
    elb.refusal("AddTags", ResourceArns=[arn, gone], Tags=[{"Key": "a"}])
    assert elb("DescribeTags", ResourceArns=[arn])["TagDescriptions"][0]["Tags"] == []


def test_account_limits(elb: Elb) -> None:
    everything = elb("DescribeAccountLimits")
    assert everything["NextMarker"] is None
    assert {limit["Name"]: int(limit["Max"]) for limit in everything["Limits"]} == LIMITS
    first = elb("DescribeAccountLimits", PageSize=2)
    assert first["Limits"] == [
        {"Name": "application-load-balancers", "Max": "50"},
        {"Name": "listeners-per-application-load-balancer", "Max": "50"},
    ]
    assert elb("DescribeAccountLimits", Marker=first["NextMarker"])["Limits"] == everything["Limits"][2:]


def test_security_policies(elb: Elb) -> None:
    found = elb("DescribeSSLPolicies", Names=["ELBSecurityPolicy-TLS13-1-2-Res-2021-06"])
    ciphers = [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ]
    assert found == {
        "SslPolicies": [
            {
                "Name": "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
                "SslProtocols": ["TLSv1.2", "TLSv1.3"],
                "Ciphers": [{"Name": name, "Priority": n} for n, name in enumerate(ciphers, 1)],
                "SupportedLoadBalancerTypes": ["application", "network"],
            }
        ],
        "NextMarker": None,
    }
    names = [policy["Name"] for policy in elb("DescribeSSLPolicies")["SslPolicies"]]
    assert names == list(POLICIES) and names[0] == "ELBSecurityPolicy-2016-08"
    assert elb("DescribeSSLPolicies", LoadBalancerType="gateway")["SslPolicies"] == []
    assert elb.refusal("DescribeSSLPolicies", Names=["x"]) == (
        "SSLPolicyNotFound",
        "SSL policy 'x' not found",
    )


def test_what_is_missing_says_so(elb: Elb) -> None:
    for operation in (
        "CreateTrustStore",
        "DescribeCapacityReservation",
        "ModifyIpPools",
        "GetResourcePolicy",
    ):
        code, message = elb.refusal(operation)
        assert code == "NotImplemented" and message.startswith(f"{operation} of elbv2 is not implemented")
