"""Which function answers which operation: by name, of the modules that each service's package lists.

What we mean to emulate ourselves is never handed to anyone else: another emulator's half of a service, next
to ours, would be resources that nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from miniecs_api.context import Context
from miniecs_api.wire import models
from miniecs_api.wire.errors import AwsError

Operation = Callable[[Context, dict[str, Any]], dict[str, Any]]

# Packages of miniecs_api, by botocore's names of the services, each with its MODULES.
_PACKAGES = ("cloudwatch", "ecs", "elbv2", "sts")

# All of these are answered here or not at all; of sts, only the operations that we have.
OURS = frozenset(
    {"ecs", "elbv2", "application-autoscaling", "cloudwatch", "logs", "servicediscovery", "events"}
)
# What would make resources outside of miniecs's knowledge: stacks, instances, jobs.
BLOCKED = frozenset({"autoscaling", "cloudformation", "batch", "lambda"})


@cache
def registry() -> Mapping[tuple[str, str], Operation]:
    """The operations that exist: ("ecs", "CreateCluster") to its function."""
    found: dict[tuple[str, str], Operation] = {}
    for service in _PACKAGES:
        names = {op.function: op.name for op in models.load(service).operations.values()}
        for module in import_module(f"miniecs_api.{service}").MODULES:
            for name, function in vars(module).items():
                if getattr(function, "__aws__", False) and function.__module__ == module.__name__:
                    if name not in names:
                        raise TypeError(f"{module.__name__}.{name} is no operation of {service}")
                    found[service, names[name]] = function
    return found


def not_implemented(service: str, operation: str) -> AwsError:
    """The answer to an operation that miniecs does not have."""
    if service in BLOCKED:
        why = "it would start things that miniecs does not know of"
        text = f"{operation} of {service} is not available in miniecs: {why}. See docs/differences.md."
    else:
        text = f"{operation} of {service} is not implemented by miniecs yet. See docs/differences.md."
    return AwsError("NotImplemented", text, 501)
