"""Account settings: Put, PutDefault, Delete, List.

A setting is of one principal or of the account, whose root stands for everyone who has no own one;
below both are AWS's defaults of today (developer guide, "Account settings").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from miniecs.model import arns
from miniecs.model.cluster import AccountSetting
from miniecs_api.context import Context
from miniecs_api.ecs.listing import ecs_page
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError

_MOST_LISTED = 10


@dataclass(frozen=True, slots=True)
class _Setting:
    """AWS's default, the values that can be given, and whether only the root may give them."""

    default: str
    values: tuple[str, ...] = ("enabled", "disabled")
    root_only: bool = False
    acted_on: bool = False


_SWITCH = ("on", "off")
_LONG = _Setting("enabled", ("enabled",), acted_on=True)
SETTINGS: Mapping[str, _Setting] = {
    "awsvpcTrunking": _Setting("disabled"),
    "containerInsights": _Setting("disabled", ("enhanced", "enabled", "disabled"), acted_on=True),
    "containerInstanceLongArnFormat": _LONG,
    "defaultLogDriverMode": _Setting("non-blocking", ("blocking", "non-blocking")),
    "fargateEventWindows": _Setting("disabled"),
    "fargateFIPSMode": _Setting("disabled"),
    "fargateTaskRetirementWaitPeriod": _Setting("7", ("0", "7", "14"), root_only=True),
    "guardDutyActivate": _Setting("off", ()),
    "serviceLongArnFormat": _LONG,
    "tagResourceAuthorization": _Setting("on", _SWITCH),
    "taskLongArnFormat": _LONG,
}


@operation
def put_account_setting(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    principal = _principal(ctx, params)
    if _known(params["name"]).root_only and principal != _root(ctx):
        raise _invalid(f"The account setting {params['name']} can only be set for the root user.")
    return _put(ctx, params, principal)


@operation
def put_account_setting_default(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    return _put(ctx, params, _root(ctx))


@operation
def delete_account_setting(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answers the setting that is gone; afterwards the account's, or AWS's default, holds."""
    principal = _principal(ctx, params)
    name = params["name"]
    setting = _get(ctx, name, principal)
    if setting is not None:
        ctx.tx.delete(AccountSetting, setting.key)
    value = setting.value if setting is not None else _inherited(ctx, name)
    return {"setting": _render(name, value, principal)}


@read_operation
def list_account_settings(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    principal = _principal(ctx, params)
    name, value = params.get("name"), params.get("value")
    if value is not None and name is None:
        raise _invalid("The name of the account setting must be specified to filter by value.")
    shown = []
    for each in sorted(SETTINGS) if name is None else [name]:
        own = _get(ctx, each, principal)
        if own is not None:
            shown.append(_render(each, own.value, principal))
        elif params.get("effectiveSettings"):
            shown.append(_render(each, _inherited(ctx, each), principal))
    matching = [setting for setting in shown if value in (None, setting["value"])]
    return ecs_page(matching, params, "settings", key=lambda setting: setting["name"], most=_MOST_LISTED)


def effective_value(ctx: Context, name: str) -> str:
    """The setting that holds for the caller."""
    own = _get(ctx, name, ctx.principal_arn)
    return own.value if own is not None else _inherited(ctx, name)


def _put(ctx: Context, params: dict[str, Any], principal: str) -> dict[str, Any]:
    name, value = params["name"], params["value"]
    known = _known(name)
    if not known.values:
        raise _invalid(f"The account setting {name} is managed by AWS and cannot be changed.")
    if value not in known.values:
        raise _invalid(
            f"Invalid value '{value}' for account setting {name}. "
            f"Valid values are [{', '.join(known.values)}]."
        )
    if not known.acted_on:
        ctx.hint(f"{name} is stored and answered, but miniecs does not act on it; see docs/differences.md.")
    ctx.tx.put(AccountSetting(ctx.scope, name, principal, value, is_default=principal == _root(ctx)))
    return {"setting": _render(name, value, principal)}


def _principal(ctx: Context, params: dict[str, Any]) -> str:
    given: str | None = params.get("principalArn")
    if not given:
        return ctx.principal_arn
    parsed = arns.parse(given)
    if parsed is None or parsed.service != "iam" or parsed.account != ctx.scope.account:
        raise _invalid("The specified principalArn is invalid. Specify a valid principalArn and try again.")
    return given


def _root(ctx: Context) -> str:
    return f"arn:aws:iam::{ctx.scope.account}:root"


def _get(ctx: Context, name: str, principal: str) -> AccountSetting | None:
    return ctx.tx.get(AccountSetting, AccountSetting(ctx.scope, name, principal, "").key)


def _inherited(ctx: Context, name: str) -> str:
    of_account = _get(ctx, name, _root(ctx))
    return of_account.value if of_account is not None else _known(name).default


def _known(name: str) -> _Setting:
    """A newer model than the one this table was made from may allow names that are not in it."""
    found = SETTINGS.get(name)
    if found is None:
        raise _invalid(f"The account setting {name} is not supported by this version of miniecs.")
    return found


def _render(name: str, value: str, principal: str) -> dict[str, str]:
    type = "aws_managed" if name == "guardDutyActivate" else "user"
    return {"name": name, "value": value, "principalArn": principal, "type": type}


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
