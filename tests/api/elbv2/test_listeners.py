"""Listeners and their certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.elbv2.conftest import Elb

CERT = "arn:aws:acm:us-east-1:000000000000:certificate/11111111-1111-1111-1111-111111111111"
CERT2 = CERT.replace("1111-1", "2222-2")
CERT3 = CERT.replace("1111-1", "3333-3")
MISSING = (
    "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener/app/none/0123456789abcdef/0123456789abcdef"
)


def secure(**params: Any) -> dict[str, Any]:
    return {"Protocol": "HTTPS", "Port": 443, "Certificates": [{"CertificateArn": CERT}]} | params


def test_a_listener_that_forwards(elb: Elb) -> None:
    balancer, group = elb.load_balancer(), elb.target_group()
    made = elb(
        "CreateListener",
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=8080,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]
    assert made["ListenerArn"].startswith(balancer.replace(":loadbalancer/", ":listener/") + "/")
    assert made == {
        "ListenerArn": made["ListenerArn"],
        "LoadBalancerArn": balancer,
        "Port": 8080,
        "Protocol": "HTTP",
        "DefaultActions": [
            {
                "Type": "forward",
                "TargetGroupArn": group,
                "ForwardConfig": {
                    "TargetGroups": [{"TargetGroupArn": group, "Weight": 1}],
                    "TargetGroupStickinessConfig": {"Enabled": False},
                },
            }
        ],
        "SslPolicy": None,
        "MutualAuthentication": None,
    }
    assert elb("DescribeListeners", LoadBalancerArn=balancer) == {"Listeners": [made], "NextMarker": None}
    assert elb("DescribeTargetGroups")["TargetGroups"][0]["LoadBalancerArns"] == [balancer]


def test_an_https_listener(elb: Elb) -> None:
    arn = elb.listener(elb.load_balancer(), **secure(MutualAuthentication={"Mode": "off"}))
    shown = elb("DescribeListeners", ListenerArns=[arn])["Listeners"][0]
    assert shown["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert shown["Certificates"] == [{"CertificateArn": CERT}]
    assert shown["MutualAuthentication"] == {"Mode": "off"}


@pytest.mark.parametrize(
    ("listener", "group"),
    [("TCP", "TCP"), ("TCP", "TCP_UDP"), ("UDP", "UDP"), ("UDP", "TCP_UDP"), ("TCP_UDP", "TCP_UDP")],
)
def test_network_listeners(elb: Elb, listener: str, group: str) -> None:
    balancer = elb.load_balancer(Type="network")
    arn = elb.listener(balancer, elb.target_group(Protocol=group), Protocol=listener, Port=53)
    shown = elb("DescribeListeners", ListenerArns=[arn])["Listeners"][0]
    assert (shown["Protocol"], shown["Port"], "Certificates" in shown) == (listener, 53, False)


def test_a_tls_listener(elb: Elb) -> None:
    balancer, group = elb.load_balancer(Type="network"), elb.target_group(Protocol="TLS")
    params = secure(
        Protocol="TLS", AlpnPolicy=["HTTP2Preferred"], SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06"
    )
    arn = elb.listener(balancer, group, **params)
    shown = elb("DescribeListeners", ListenerArns=[arn])["Listeners"][0]
    assert shown["AlpnPolicy"] == ["HTTP2Preferred"]
    assert shown["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"


def test_the_same_listener_twice(elb: Elb) -> None:
    balancer, group = elb.load_balancer(), elb.target_group()
    first = elb.listener(balancer, group)
    assert elb.listener(balancer, group) == first
    assert elb.refusal(
        "CreateListener", LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=[elb.action()]
    ) == (
        "DuplicateListener",
        f"A listener already exists on this port for this load balancer '{balancer}'",
    )
    elb.listener(balancer, Port=81)


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"Port": None}, "ValidationError", "A listener port must be specified"),
        ({"Protocol": None}, "ValidationError", "A listener protocol must be specified"),
        ({"Protocol": "TCP"}, "ValidationError", "Listener protocol 'TCP' must be one of 'HTTPS, HTTP'"),
        ({"DefaultActions": []}, "ValidationError", "At least one action must be specified"),
        (
            {"Protocol": "HTTPS"},
            "ValidationError",
            "A certificate must be specified for HTTPS listeners",
        ),
        (
            secure(Certificates=[{"CertificateArn": CERT}, {"CertificateArn": CERT2}]),
            "InvalidConfigurationRequest",
            "You must provide a list containing exactly one certificate if the listener protocol is HTTPS.",
        ),
        (
            secure(Certificates=[{"CertificateArn": "cert"}]),
            "ValidationError",
            "Certificate ARN 'cert' is not valid",
        ),
        (
            secure(Certificates=[{"CertificateArn": CERT, "IsDefault": True}]),
            "ValidationError",
            "You cannot set the isDefault parameter of a certificate",
        ),
        (
            {"Certificates": [{"CertificateArn": CERT}]},
            "ValidationError",
            "Certificates cannot be specified for HTTP listeners",
        ),
        (
            {"SslPolicy": "ELBSecurityPolicy-2016-08"},
            "ValidationError",
            "An SSL policy cannot be specified for HTTP listeners",
        ),
        (secure(SslPolicy="x"), "SSLPolicyNotFound", "SSL policy 'x' not found"),
        (
            {"AlpnPolicy": ["None"]},
            "ValidationError",
            "An ALPN policy cannot be specified for HTTP listeners",
        ),
        (
            secure(MutualAuthentication={"Mode": "verify"}),
            "NotImplemented",
            "miniecs does not support mutual TLS authentication, and would not act on it.",
        ),
    ],
)
def test_refused(elb: Elb, params: dict[str, Any], code: str, message: str) -> None:
    given = {"Protocol": "HTTP", "Port": 80, "DefaultActions": [elb.action()]} | params
    balancer = elb.load_balancer()
    assert elb.refusal("CreateListener", LoadBalancerArn=balancer, **given) == (code, message)


def test_unknown_alpn_policy(elb: Elb) -> None:
    balancer, group = elb.load_balancer(Type="network"), elb.target_group(Protocol="TLS")
    params = secure(Protocol="TLS", AlpnPolicy=["HTTP3"], DefaultActions=[elb.action(group)])
    assert elb.refusal("CreateListener", LoadBalancerArn=balancer, **params) == (
        "ALPNPolicyNotFound",
        "ALPN policy 'HTTP3' not found",
    )


def test_at_most_fifty(elb: Elb) -> None:
    balancer = elb.load_balancer()
    for port in range(1, 51):
        elb.listener(balancer, Port=port)
    params = {"Protocol": "HTTP", "Port": 51, "DefaultActions": [elb.action()]}
    assert elb.refusal("CreateListener", LoadBalancerArn=balancer, **params) == (
        "TooManyListeners",
        "The maximum number of listeners has been reached",
    )


def test_describe(elb: Elb) -> None:
    balancer = elb.load_balancer()
    arns = [elb.listener(balancer, Port=port) for port in (81, 80, 82)]
    first = elb("DescribeListeners", LoadBalancerArn=balancer, PageSize=2)
    rest = elb("DescribeListeners", LoadBalancerArn=balancer, PageSize=2, Marker=first["NextMarker"])
    assert [[x["Port"] for x in page["Listeners"]] for page in (first, rest)] == [[81, 80], [82]]
    named = elb("DescribeListeners", ListenerArns=[arns[2], arns[0]])["Listeners"]
    assert [x["Port"] for x in named] == [82, 81]
    not_found = ("ListenerNotFound", "One or more listeners not found")
    assert elb.refusal("DescribeListeners", ListenerArns=[MISSING]) == not_found
    assert elb.refusal("DeleteListener", ListenerArn=MISSING) == not_found
    assert elb.refusal("DescribeListeners") == (
        "ValidationError",
        "You must specify either listener ARNs or a load balancer ARN",
    )
    assert elb.refusal("DescribeListeners", LoadBalancerArn=balancer, ListenerArns=arns) == (
        "ValidationError",
        "Listener ARNs and a load balancer ARN cannot be specified at the same time",
    )
    gone = balancer.replace("/web/", "/gone/")
    assert elb.refusal("DescribeListeners", LoadBalancerArn=gone) == (
        "LoadBalancerNotFound",
        "One or more load balancers not found",
    )


def test_modify(elb: Elb) -> None:
    balancer, group = elb.load_balancer(), elb.target_group()
    arn = elb.listener(balancer, group)
    elb.listener(balancer, Port=81)
    before = elb("DescribeListeners", ListenerArns=[arn])["Listeners"][0]
    changed = elb("ModifyListener", ListenerArn=arn, Port=8080)["Listeners"][0]
    assert changed == before | {"Port": 8080}
    assert elb.refusal("ModifyListener", ListenerArn=arn, Port=81) == (
        "ValidationError",
        "Listener port '81' is already in use",
    )
    fixed = elb.action()
    changed = elb("ModifyListener", ListenerArn=arn, DefaultActions=[fixed])["Listeners"][0]
    assert changed["DefaultActions"] == [fixed]
    assert elb("DescribeTargetGroups")["TargetGroups"][0]["LoadBalancerArns"] == []


def test_modify_into_https_and_back(elb: Elb) -> None:
    arn = elb.listener(elb.load_balancer())
    plain = elb("DescribeListeners", ListenerArns=[arn])["Listeners"][0]
    assert elb.refusal("ModifyListener", ListenerArn=arn, Protocol="HTTPS") == (
        "ValidationError",
        "A certificate must be specified for HTTPS listeners",
    )
    certificates = [{"CertificateArn": CERT}]
    changed = elb("ModifyListener", ListenerArn=arn, Protocol="HTTPS", Certificates=certificates)[
        "Listeners"
    ][0]
    assert changed == plain | {
        "Protocol": "HTTPS",
        "SslPolicy": "ELBSecurityPolicy-2016-08",
        "Certificates": certificates,
        "MutualAuthentication": {"Mode": "off"},
    }
    assert elb("ModifyListener", ListenerArn=arn, Protocol="HTTP")["Listeners"] == [plain]


def test_modify_checks_what_the_rules_forward_to(elb: Elb) -> None:
    group = elb.target_group(ProtocolVersion="GRPC")
    arn = elb.listener(elb.load_balancer(), **secure())
    elb.rule(arn, 1, group)
    assert elb.refusal("ModifyListener", ListenerArn=arn, Protocol="HTTP") == (
        "InvalidLoadBalancerAction",
        "Listener protocol 'HTTP' is not supported with a target group with the protocol-version 'GRPC'",
    )


def test_certificates(elb: Elb) -> None:
    arn = elb.listener(elb.load_balancer(), **secure())
    added = elb(
        "AddListenerCertificates",
        ListenerArn=arn,
        Certificates=[{"CertificateArn": CERT2}, {"CertificateArn": CERT3}],
    )
    assert added == {
        "Certificates": [
            {"CertificateArn": CERT2, "IsDefault": False},
            {"CertificateArn": CERT3, "IsDefault": False},
        ]
    }
    elb("AddListenerCertificates", ListenerArn=arn, Certificates=[{"CertificateArn": CERT2}])
    elb("RemoveListenerCertificates", ListenerArn=arn, Certificates=[{"CertificateArn": CERT3}])
    elb("AddListenerCertificates", ListenerArn=arn, Certificates=[{"CertificateArn": CERT}])
    assert elb("DescribeListenerCertificates", ListenerArn=arn) == {
        "Certificates": [
            {"CertificateArn": CERT, "IsDefault": True},
            {"CertificateArn": CERT2, "IsDefault": False},
            {"CertificateArn": CERT, "IsDefault": False},
        ],
        "NextMarker": None,
    }
    assert elb("DescribeListeners", ListenerArns=[arn])["Listeners"][0]["Certificates"] == [
        {"CertificateArn": CERT}
    ]
    default = [{"CertificateArn": CERT}]
    elb("RemoveListenerCertificates", ListenerArn=arn, Certificates=default)
    assert elb.refusal("RemoveListenerCertificates", ListenerArn=arn, Certificates=default) == (
        "OperationNotPermitted",
        "Default certificate cannot be removed",
    )
    changed = elb("ModifyListener", ListenerArn=arn, Certificates=[{"CertificateArn": CERT3}])["Listeners"][0]
    assert changed["Certificates"] == [{"CertificateArn": CERT3}]
    pages = elb("DescribeListenerCertificates", ListenerArn=arn, PageSize=1)
    assert pages["Certificates"] == [{"CertificateArn": CERT3, "IsDefault": True}]
    rest = elb("DescribeListenerCertificates", ListenerArn=arn, PageSize=1, Marker=pages["NextMarker"])
    assert rest["Certificates"] == [{"CertificateArn": CERT2, "IsDefault": False}]


def test_at_most_25_certificates(elb: Elb) -> None:
    arn = elb.listener(elb.load_balancer(), **secure())
    many = [{"CertificateArn": f"{CERT[:-2]}{n}"} for n in range(10, 36)]
    assert elb.refusal("AddListenerCertificates", ListenerArn=arn, Certificates=many) == (
        "TooManyCertificates",
        "The maximum number of certificates has been reached",
    )
    plain = elb.listener(elb.load_balancer("plain"))
    assert elb.refusal("AddListenerCertificates", ListenerArn=plain, Certificates=many[:1]) == (
        "ValidationError",
        "Certificates cannot be specified for HTTP listeners",
    )


def test_delete(elb: Elb) -> None:
    balancer = elb.load_balancer()
    arn = elb.listener(balancer)
    rule = elb.rule(arn)
    assert elb("DeleteListener", ListenerArn=arn) == {}
    assert elb("DescribeListeners", LoadBalancerArn=balancer)["Listeners"] == []
    assert elb.refusal("DescribeRules", RuleArns=[rule]) == ("RuleNotFound", "One or more rules not found")
