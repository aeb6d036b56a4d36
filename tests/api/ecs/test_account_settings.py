"""Account settings: a principal's, the account's, and AWS's defaults below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from miniecs_api.ecs.account_settings import SETTINGS

if TYPE_CHECKING:
    from tests.api.ecs.conftest import Ecs

ROOT = "arn:aws:iam::000000000000:root"
USER = "arn:aws:iam::000000000000:user/ann"
DEFAULTS = {
    "awsvpcTrunking": "disabled",
    "containerInsights": "disabled",
    "containerInstanceLongArnFormat": "enabled",
    "defaultLogDriverMode": "non-blocking",
    "fargateEventWindows": "disabled",
    "fargateFIPSMode": "disabled",
    "fargateTaskRetirementWaitPeriod": "7",
    "guardDutyActivate": "off",
    "serviceLongArnFormat": "enabled",
    "tagResourceAuthorization": "on",
    "taskLongArnFormat": "enabled",
}


def setting(name: str, value: str, principal: str = ROOT) -> dict[str, str]:
    type = "aws_managed" if name == "guardDutyActivate" else "user"
    return {"name": name, "value": value, "principalArn": principal, "type": type}


def listed(ecs: Ecs, **params: Any) -> list[dict[str, str]]:
    return list(ecs("ListAccountSettings", **params)["settings"])


def test_every_setting_of_the_api_has_its_default(ecs: Ecs) -> None:
    from tests.api.ecs.conftest import service_model

    assert set(service_model().shape_for("SettingName").enum) == set(SETTINGS)
    first = ecs("ListAccountSettings", effectiveSettings=True)
    assert len(first["settings"]) == 10
    rest = ecs("ListAccountSettings", effectiveSettings=True, nextToken=first["nextToken"])
    expected = [setting(name, value) for name, value in sorted(DEFAULTS.items())]
    assert first["settings"] + rest["settings"] == expected
    assert "nextToken" not in rest
    assert listed(ecs) == []


def test_put_list_and_delete(ecs: Ecs) -> None:
    answered = {"setting": setting("containerInsights", "enhanced", USER)}
    given = {"name": "containerInsights", "principalArn": USER}
    assert ecs("PutAccountSetting", value="enhanced", **given) == answered
    assert listed(ecs, principalArn=USER) == [answered["setting"]]
    assert listed(ecs) == []
    assert ecs("DeleteAccountSetting", **given) == answered
    assert listed(ecs, principalArn=USER) == []
    assert ecs("DeleteAccountSetting", **given) == {
        "setting": setting("containerInsights", "disabled", USER)
    }


def test_the_accounts_setting_is_everyones_without_an_own_one(ecs: Ecs) -> None:
    assert ecs("PutAccountSettingDefault", name="containerInsights", value="enabled") == {
        "setting": setting("containerInsights", "enabled")
    }
    wanted = {"name": "containerInsights", "effectiveSettings": True}
    assert listed(ecs, principalArn=USER, **wanted) == [setting("containerInsights", "enabled", USER)]
    assert listed(ecs, principalArn=USER, name="containerInsights") == []
    ecs("PutAccountSetting", name="containerInsights", value="disabled", principalArn=USER)
    assert listed(ecs, principalArn=USER, **wanted) == [setting("containerInsights", "disabled", USER)]
    assert listed(ecs, **wanted) == [setting("containerInsights", "enabled")]
    assert listed(ecs, value="disabled", **wanted) == []


def test_the_caller_is_the_root(ecs: Ecs) -> None:
    ecs("PutAccountSetting", name="awsvpcTrunking", value="enabled")
    assert listed(ecs) == [setting("awsvpcTrunking", "enabled")]
    assert ecs.aws.hints == []
    ecs("PutAccountSetting", name="tagResourceAuthorization", value="off")
    assert ecs.aws.hints == [
        "tagResourceAuthorization is stored and answered, but miniecs does not act on it; "
        "see docs/differences.md."
    ]


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("awsvpcTrunking", "on", "enabled, disabled"),
        ("containerInsights", "on", "enhanced, enabled, disabled"),
        ("defaultLogDriverMode", "async", "blocking, non-blocking"),
        ("fargateTaskRetirementWaitPeriod", "1", "0, 7, 14"),
        ("serviceLongArnFormat", "disabled", "enabled"),
        ("tagResourceAuthorization", "enabled", "on, off"),
    ],
)
def test_bad_values(ecs: Ecs, name: str, value: str, valid: str) -> None:
    for operation in ("PutAccountSetting", "PutAccountSettingDefault"):
        assert ecs.refusal(operation, name=name, value=value) == (
            "InvalidParameterException",
            f"Invalid value '{value}' for account setting {name}. Valid values are [{valid}].",
        )


def test_what_else_is_refused(ecs: Ecs) -> None:
    for operation, params, message in (
        (
            "PutAccountSetting",
            {"name": "guardDutyActivate", "value": "on"},
            "The account setting guardDutyActivate is managed by AWS and cannot be changed.",
        ),
        (
            "PutAccountSetting",
            {"name": "fargateTaskRetirementWaitPeriod", "value": "0", "principalArn": USER},
            "The account setting fargateTaskRetirementWaitPeriod can only be set for the root user.",
        ),
        (
            "PutAccountSetting",
            {"name": "somethingNewer", "value": "on"},
            "The account setting somethingNewer is not supported by this version of miniecs.",
        ),
        (
            "ListAccountSettings",
            {"value": "enabled"},
            "The name of the account setting must be specified to filter by value.",
        ),
        ("ListAccountSettings", {"maxResults": 11}, "maxResults must be between 1 and 10."),
        (
            "ListAccountSettings",
            {"principalArn": "arn:aws:iam::111111111111:root"},
            "The specified principalArn is invalid. Specify a valid principalArn and try again.",
        ),
        (
            "DeleteAccountSetting",
            {"name": "awsvpcTrunking", "principalArn": "ann"},
            "The specified principalArn is invalid. Specify a valid principalArn and try again.",
        ),
    ):
        assert ecs.refusal(operation, **params) == ("InvalidParameterException", message)
