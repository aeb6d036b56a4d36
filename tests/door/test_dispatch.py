"""Which functions are operations, and what importing the door costs."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

import miniecs_api.sts
from miniecs.model.scope import Scope
from miniecs_api import dispatch
from miniecs_api.context import Context
from miniecs_api.operation import operation, read_operation
from miniecs_api.sts import identity
from miniecs_api.wire.models import load
from miniecs_api.wire.outputs import problems


@pytest.fixture(autouse=True)
def _fresh_registry() -> Any:
    yield
    dispatch.registry.cache_clear()


def test_every_registered_name_is_an_operation_of_its_service() -> None:
    registry = dispatch.registry()
    assert registry["sts", "GetCallerIdentity"] is identity.get_caller_identity
    for (service, name), function in registry.items():
        assert load(service).operations[name].function == function.__name__


def test_a_function_that_is_no_operation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("miniecs_api.sts.flight")

    def fly_away(ctx: Any, params: dict[str, Any]) -> dict[str, Any]:
        return {}

    fly_away.__module__ = module.__name__
    module.fly_away = operation(fly_away)  # type: ignore[attr-defined]
    monkeypatch.setattr(miniecs_api.sts, "MODULES", (module,))
    dispatch.registry.cache_clear()
    with pytest.raises(TypeError, match=r"miniecs_api\.sts\.flight\.fly_away is no operation of sts"):
        dispatch.registry()


def test_the_marks_tell_readers_from_writers() -> None:
    def function(ctx: Any, params: dict[str, Any]) -> dict[str, Any]:
        return params

    assert (operation(function).__aws__, function.__reads__) == (True, False)  # type: ignore[attr-defined]
    assert (read_operation(function).__aws__, function.__reads__) == (True, True)  # type: ignore[attr-defined]


def test_the_caller_is_the_root_of_its_account() -> None:
    nobody: Any = None
    scope = Scope("123456789012", "eu-west-1")
    ctx = Context(tx=nobody, now=0, ids=nobody, scope=scope, settings=nobody, fleets=nobody)
    result = identity.get_caller_identity(ctx, {})
    assert result == {
        "UserId": "123456789012",
        "Account": "123456789012",
        "Arn": "arn:aws:iam::123456789012:root",
    }
    assert problems("sts", "GetCallerIdentity", result) == []


def test_what_is_missing_says_so_and_where_to_read_on() -> None:
    error = dispatch.not_implemented("ecs", "CreateTaskSet")
    assert (error.code, error.status) == ("NotImplemented", 501)
    assert error.message == (
        "CreateTaskSet of ecs is not implemented by miniecs yet. See docs/differences.md."
    )


def test_the_door_is_light_to_import() -> None:
    heavy = "boto3 botocore.session botocore.loaders botocore.model fastapi cbor2 moto httpx".split()
    code = f"import sys, miniecs_api.app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
