"""Listener rules: order, the default rule, changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from miniecs.model.load_balancing import Rule

if TYPE_CHECKING:
    from tests.api.elbv2.conftest import Elb

CONDITION = {"Field": "path-pattern", "Values": ["/a/*"]}
NOT_FOUND = ("RuleNotFound", "One or more rules not found")


def priorities(elb: Elb, listener: str) -> list[str]:
    return [rule["Priority"] for rule in elb("DescribeRules", ListenerArn=listener)["Rules"]]


def test_a_rule_and_the_default_rule(elb: Elb) -> None:
    listener, fixed = elb.listener(elb.load_balancer()), elb.action()
    made = elb("CreateRule", ListenerArn=listener, Priority=5, Conditions=[CONDITION], Actions=[fixed])[
        "Rules"
    ][0]
    assert made["RuleArn"].startswith(listener.replace(":listener/", ":listener-rule/") + "/")
    assert made == {
        "RuleArn": made["RuleArn"],
        "Priority": "5",
        "Conditions": [
            {"Field": "path-pattern", "Values": ["/a/*"], "PathPatternConfig": {"Values": ["/a/*"]}}
        ],
        "Actions": [fixed],
        "IsDefault": False,
        "Transforms": [],
    }
    rules = elb("DescribeRules", ListenerArn=listener)["Rules"]
    assert rules == [
        made,
        {
            "RuleArn": rules[1]["RuleArn"],
            "Priority": "default",
            "Conditions": [],
            "Actions": [fixed],
            "IsDefault": True,
            "Transforms": [],
        },
    ]
    assert elb("DescribeRules", RuleArns=[rules[1]["RuleArn"]])["Rules"] == [rules[1]]


def test_rules_are_shown_by_priority_in_pages(elb: Elb) -> None:
    listener = elb.listener(elb.load_balancer())
    for priority in (30, 10, 50000):
        elb.rule(listener, priority)
    assert priorities(elb, listener) == ["10", "30", "50000", "default"]
    first = elb("DescribeRules", ListenerArn=listener, PageSize=3)
    rest = elb("DescribeRules", ListenerArn=listener, PageSize=3, Marker=first["NextMarker"])
    assert [rule["Priority"] for rule in rest["Rules"]] == ["default"]


def test_describe_refused(elb: Elb) -> None:
    listener = elb.listener(elb.load_balancer())
    rule = elb.rule(listener)
    assert elb.refusal("DescribeRules") == (
        "ValidationError",
        "You must specify either listener rule ARNs or a listener ARN",
    )
    assert elb.refusal("DescribeRules", ListenerArn=listener, RuleArns=[rule]) == (
        "ValidationError",
        "Listener rule ARNs and a listener ARN cannot be specified at the same time",
    )
    other = rule[:-16] + "0123456789abcdef"
    for operation, params in (
        ("DescribeRules", {"RuleArns": [rule, other]}),
        ("DeleteRule", {"RuleArn": other}),
        ("ModifyRule", {"RuleArn": other, "Conditions": [CONDITION]}),
    ):
        assert elb.refusal(operation, **params) == NOT_FOUND
    assert elb.refusal("DeleteRule", RuleArn=listener) == (
        "ValidationError",
        f"'{listener}' is not a valid listener rule ARN",
    )


def test_a_priority_is_used_once(elb: Elb) -> None:
    listener = elb.listener(elb.load_balancer())
    elb.rule(listener, 7)
    params = {"Conditions": [CONDITION], "Actions": [elb.action()]}
    assert elb.refusal("CreateRule", ListenerArn=listener, Priority=7, **params) == (
        "PriorityInUse",
        "Priority '7' is currently in use",
    )
    elb.rule(elb.listener(elb.load_balancer("other")), 7)


def test_at_most_a_hundred_a_load_balancer(elb: Elb) -> None:
    balancer = elb.load_balancer()
    listeners = [elb.listener(balancer), elb.listener(balancer, Port=81)]
    for n in range(100):
        elb.rule(listeners[n % 2], n + 1)
    params = {"Conditions": [CONDITION], "Actions": [elb.action()]}
    assert elb.refusal("CreateRule", ListenerArn=listeners[0], Priority=200, **params) == (
        "TooManyRules",
        "The maximum number of rules has been reached",
    )


def test_network_load_balancers_have_no_rules(elb: Elb) -> None:
    listener = elb.listener(
        elb.load_balancer(Type="network"), elb.target_group(Protocol="TCP"), Protocol="TCP"
    )
    params = {"Conditions": [CONDITION], "Actions": [elb.action()]}
    assert elb.refusal("CreateRule", ListenerArn=listener, Priority=1, **params)[0] == "NotImplemented"


def test_modify(elb: Elb) -> None:
    rule = elb.rule(elb.listener(elb.load_balancer()))
    before = elb("DescribeRules", RuleArns=[rule])["Rules"][0]
    host = {"Field": "host-header", "Values": ["a.example.com"]}
    changed = elb("ModifyRule", RuleArn=rule, Conditions=[host])["Rules"][0]
    expected = before | {"Conditions": [host | {"HostHeaderConfig": {"Values": ["a.example.com"]}}]}
    assert changed == expected
    teapot = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418"}}
    assert elb("ModifyRule", RuleArn=rule, Actions=[teapot])["Rules"] == [expected | {"Actions": [teapot]}]
    assert elb.refusal("ModifyRule", RuleArn=rule) == (
        "ValidationError",
        "Either conditions or actions must be specified",
    )


def test_transforms(elb: Elb) -> None:
    rewrite = {"Regex": "^/old/(.*)$", "Replace": "/new/$1"}
    transform = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [rewrite]}}
    rule = elb.rule(elb.listener(elb.load_balancer()), Transforms=[transform])
    assert elb("DescribeRules", RuleArns=[rule])["Rules"][0]["Transforms"] == [transform]
    host = {"Type": "host-header-rewrite", "HostHeaderRewriteConfig": {"Rewrites": [rewrite]}}
    assert elb("ModifyRule", RuleArn=rule, Transforms=[host])["Rules"][0]["Transforms"] == [host]
    assert elb("ModifyRule", RuleArn=rule, ResetTransforms=True)["Rules"][0]["Transforms"] == []
    for given, message in (
        ([transform, transform], "A rule can only have one transform of each type"),
        (
            [{"Type": "url-rewrite"}],
            "Exactly one rewrite must be specified for transforms of type 'url-rewrite'",
        ),
        (
            [{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "(", "Replace": ""}]}}],
            "Regular expression '(' is not valid: missing ), unterminated subpattern at position 0",
        ),
        (
            [transform | {"HostHeaderRewriteConfig": {"Rewrites": [rewrite]}}],
            "HostHeaderRewriteConfig cannot be specified for transforms of type 'url-rewrite'",
        ),
    ):
        assert elb.refusal("ModifyRule", RuleArn=rule, Transforms=given) == ("ValidationError", message)


def test_the_default_rule_stays(elb: Elb) -> None:
    listener = elb.listener(elb.load_balancer())
    default = elb("DescribeRules", ListenerArn=listener)["Rules"][0]["RuleArn"]
    assert elb.refusal("DeleteRule", RuleArn=default) == (
        "OperationNotPermitted",
        f"Default rule '{default}' cannot be deleted",
    )
    assert elb.refusal("ModifyRule", RuleArn=default, Conditions=[CONDITION]) == (
        "OperationNotPermitted",
        f"Default rule '{default}' cannot be modified",
    )
    pairs = [{"RuleArn": default, "Priority": 1}]
    assert elb.refusal("SetRulePriorities", RulePriorities=pairs) == (
        "OperationNotPermitted",
        f"Default rule '{default}' cannot be reordered",
    )


def test_set_priorities(elb: Elb) -> None:
    listener = elb.listener(elb.load_balancer())
    one, two, three = (elb.rule(listener, priority) for priority in (1, 2, 3))
    swapped = elb(
        "SetRulePriorities",
        RulePriorities=[{"RuleArn": one, "Priority": 2}, {"RuleArn": two, "Priority": 1}],
    )
    assert [(rule["RuleArn"], rule["Priority"]) for rule in swapped["Rules"]] == [(one, "2"), (two, "1")]
    shown = elb("DescribeRules", ListenerArn=listener)["Rules"]
    assert [rule["RuleArn"] for rule in shown[:3]] == [two, one, three]
    other = elb.rule(elb.listener(elb.load_balancer("other")), 9)
    cases: list[tuple[list[dict[str, Any]], tuple[str, str]]] = [
        ([{"RuleArn": one, "Priority": 3}], ("PriorityInUse", "Priority '3' is currently in use")),
        (
            [{"RuleArn": one, "Priority": 9}, {"RuleArn": two, "Priority": 9}],
            ("ValidationError", "Priority '9' was provided multiple times"),
        ),
        (
            [{"RuleArn": one, "Priority": 8}, {"RuleArn": one, "Priority": 9}],
            ("ValidationError", f"Rule '{one}' was provided multiple times"),
        ),
        (
            [{"RuleArn": one, "Priority": 8}, {"RuleArn": other, "Priority": 9}],
            ("ValidationError", "All rules must belong to the same listener"),
        ),
        ([{"RuleArn": one[:-16] + "0123456789abcdef", "Priority": 8}], NOT_FOUND),
        ([], ("ValidationError", "At least one rule priority must be specified")),
    ]
    for pairs, refusal in cases:
        assert elb.refusal("SetRulePriorities", RulePriorities=pairs) == refusal


def test_delete(elb: Elb) -> None:
    listener = elb.listener(elb.load_balancer())
    rule = elb.rule(listener)
    assert elb("DeleteRule", RuleArn=rule) == {}
    assert list(elb.aws.store.all(Rule)) == []
    assert priorities(elb, listener) == ["default"]
    assert elb.refusal("DeleteRule", RuleArn=rule) == NOT_FOUND


@pytest.mark.parametrize("priority", [1, 50000])
def test_the_ends_of_the_range(elb: Elb, priority: int) -> None:
    listener = elb.listener(elb.load_balancer())
    elb.rule(listener, priority)
    assert priorities(elb, listener) == [str(priority), "default"]
