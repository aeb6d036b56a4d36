"""The service models that botocore ships, as small frozen values, read at the first use of a service.

The files are read directly: botocore's own Loader and ServiceModel cost 260 ms and 16 MiB to import, more
than all else that the door needs, and user folders such as ``~/.aws/models`` must not change what we speak.
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

# Traits that would change the wire form and that no service of ours uses; a model that starts to is an error
# here, not a field that is silently misread.
_UNSUPPORTED = frozenset(
    {"flattened", "jsonvalue", "location", "locationName", "streaming", "timestampFormat", "xmlAttribute"}
)


# What the ECS agent says and the published model lacks, by service and shape: members and their shapes.
_UNPUBLISHED: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("ecs", "RegisterContainerInstanceRequest"): {"clientToken": "String"},
}


class UnknownService(Exception):
    """botocore has no model of that name."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One type of a service: what botocore's model says of it, without the documentation."""

    name: str
    type: str
    members: Mapping[str, str]  # of a structure: name to shape name
    required: frozenset[str]
    element: str = ""  # of a list
    key: str = ""  # of a map
    value: str = ""
    enum: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    union: bool = False
    document: bool = False  # any JSON value at all
    sensitive: bool = False
    exception: bool = False
    code: str | None = None  # an error's code in the query protocol, where it is not the shape's name
    status: int | None = None  # an error's HTTP status
    fault: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its name, the name of the function that is it, and its input and output shapes."""

    name: str
    function: str
    input: str | None
    output: str | None
    result_wrapper: str | None


@dataclass(frozen=True, slots=True)
class Service:
    """One AWS service under botocore's name for it."""

    name: str
    version: str
    protocols: tuple[str, ...]
    signing_name: str
    target_prefix: str | None
    json_version: str | None
    namespace: str | None
    query_compatible: bool
    operations: Mapping[str, Operation]
    shapes: Mapping[str, Shape]
    errors: Mapping[str, Shape]  # by shape name and by query code

    def shape(self, name: str) -> Shape:
        return self.shapes[name]


@cache
def load(name: str) -> Service:
    """The newest model of a service, by botocore's name ("ecs", "elbv2"). Raises UnknownService."""
    described = _described(name)
    if described is None:
        raise UnknownService(name)
    return _service(name, described)


def operation_names(name: str) -> frozenset[str]:
    """The operations of any service, also of those whose protocols we do not speak; none where unknown."""
    described = _described(name)
    return frozenset(described["operations"]) if described is not None else frozenset()


def _described(name: str) -> dict[str, Any] | None:
    """botocore's newest description of a service."""
    versions = sorted(p for p in (_data() / name).glob("*/service-2.json*") if p.suffix in {".gz", ".json"})
    if not versions:
        return None
    raw = versions[-1].read_bytes()
    found: dict[str, Any] = orjson.loads(gzip.decompress(raw) if versions[-1].suffix == ".gz" else raw)
    return found


def _data() -> Path:
    spec = importlib.util.find_spec("botocore")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "data"


def _service(name: str, model: Mapping[str, Any]) -> Service:
    # Only botocore's top module, which is light; the one authority on names such as ListCPEs.
    from botocore import xform_name

    meta = model["metadata"]
    shapes = {key: _shape(name, key, raw) for key, raw in model["shapes"].items()}
    errors = {shape.name: shape for shape in shapes.values() if shape.exception}
    errors |= {shape.code: shape for shape in errors.values() if shape.code and shape.code not in errors}
    return Service(
        name=name,
        version=meta["apiVersion"],
        protocols=tuple(meta.get("protocols") or [meta["protocol"]]),
        signing_name=meta.get("signingName") or meta["endpointPrefix"],
        target_prefix=meta.get("targetPrefix"),
        json_version=meta.get("jsonVersion"),
        namespace=meta.get("xmlNamespace"),
        query_compatible="awsQueryCompatible" in meta,
        operations={
            key: Operation(
                name=key,
                function=xform_name(key),
                input=raw["input"]["shape"] if "input" in raw else None,
                output=raw["output"]["shape"] if "output" in raw else None,
                result_wrapper=raw.get("output", {}).get("resultWrapper"),
            )
            for key, raw in model["operations"].items()
        },
        shapes=shapes,
        errors=errors,
    )


def _shape(service: str, name: str, raw: Mapping[str, Any]) -> Shape:
    members = raw.get("members", {})
    refs = [raw, *members.values(), *(raw[part] for part in ("member", "key", "value") if part in raw)]
    for ref in refs:
        if unsupported := _UNSUPPORTED & ref.keys():
            raise ValueError(f"{service}'s {name} uses {sorted(unsupported)}, which the wire layer lacks")
    error = raw.get("error", {})
    return Shape(
        name=name,
        type=raw["type"],
        members={
            **{key: ref["shape"] for key, ref in members.items()},
            **_UNPUBLISHED.get((service, name), {}),
        },
        required=frozenset(raw.get("required", ())),
        element=raw["member"]["shape"] if "member" in raw else "",
        key=raw["key"]["shape"] if "key" in raw else "",
        value=raw["value"]["shape"] if "value" in raw else "",
        enum=tuple(raw.get("enum", ())),
        min=raw.get("min"),
        max=raw.get("max"),
        pattern=raw.get("pattern"),
        union=raw.get("union", False),
        document=raw.get("document", False),
        sensitive=raw.get("sensitive", False),
        exception=raw.get("exception", False),
        code=error.get("code"),
        status=error.get("httpStatusCode"),
        fault=raw.get("fault", False) or error.get("senderFault") is False,
    )
