"""Numbers of cluster files with their bounds: what no machine and no cluster has is a mistake, not a size."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from miniecs_scheduler import parse_date

MOST_HOSTS: Final = 100_000
MOST_TASKS: Final = 1_000_000

_TOO_MUCH: Final = 1e12  # vCPUs, GB: beyond the bounds of both
_CPU: Final = re.compile(r"([0-9]*\.?[0-9]+)\s*vcpu", re.IGNORECASE)
_MEMORY: Final = re.compile(r"([0-9]*\.?[0-9]+)\s*gb", re.IGNORECASE)
_PORT: Final = re.compile(r"([0-9]{1,5})(?:/(tcp|udp))?")


def _number(value: Any) -> Any:
    """true is 1 in Python, and no number here."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, not {str(value).lower()}")
    return value


def _cpu_units(value: Any) -> Any:
    return _in_units(_CPU, value)


def _mib(value: Any) -> Any:
    return _in_units(_MEMORY, value)


def _in_units(form: re.Pattern[str], value: Any) -> Any:
    """1024 of the small unit are one of the large. What no float holds is too much all the same."""
    found = form.fullmatch(value.strip()) if isinstance(value, str) else None
    return round(min(float(found[1]), _TOO_MUCH) * 1024) if found else _number(value)


def _as_text(given: Any, sizes: TypeAdapter[int]) -> str | None:
    if given is None or given == "":
        return None
    try:
        return str(sizes.validate_python(given))
    except ValidationError as problem:
        what = problem.errors(include_url=False)[0]
        told = what["ctx"]["error"] if what["type"] == "value_error" else f"{what['msg']}, not {given!r}"
        raise ValueError(str(told).replace("Input should", "must")) from problem


def _port(value: Any) -> tuple[str, int]:
    """80, ``80/tcp`` or ``53/udp`` as (protocol, port)."""
    if isinstance(value, tuple):
        return value
    found = _PORT.fullmatch(str(_number(value)))
    if found is None or not 1 <= int(found[1]) <= 65_535:
        raise ValueError(f"must be a port of 1 to 65535 like 80 or 53/udp, not {value!r}")
    return found[2] or "tcp", int(found[1])


def _moment(value: Any) -> Any:
    """Seconds since 1970, or a date as expressions have it."""
    if isinstance(value, str):
        found = parse_date(value.strip())
        if found is None:
            forms = "2026-01-31 or 2026-01-31T08:30:00Z, or seconds since 1970"
            raise ValueError(f"must be a date like {forms}, not {value!r}")
        return found
    return _number(value)


def _text(value: Any) -> Any:
    """A value that YAML took for a number is the text of it; true and false must be said to be texts."""
    if isinstance(value, bool):
        raise ValueError(f'write "{str(value).lower()}" with quotes: attributes are texts')
    return str(value) if isinstance(value, (int, float)) else value


Cpu = Annotated[int, BeforeValidator(_cpu_units), Field(ge=0, le=1024 * 1024)]
"""CPU units; ``2 vCPU`` is read as 2048. At most 1,024 vCPUs."""
Memory = Annotated[int, BeforeValidator(_mib), Field(ge=0, le=64 * 1024 * 1024)]
"""MiB; ``2 GB`` is read as 2048. At most 64 TiB."""
CpuText = Annotated[str | None, BeforeValidator(lambda given: _as_text(given, _CPUS))]
MemoryText = Annotated[str | None, BeforeValidator(lambda given: _as_text(given, _MEMORIES))]
"""The same as the decimal strings that task definitions have."""
Gpus = Annotated[int, BeforeValidator(_number), Field(ge=0, le=1024)]
HostCount = Annotated[int, BeforeValidator(_number), Field(ge=1, le=MOST_HOSTS)]
GroupSize = Annotated[int, BeforeValidator(_number), Field(ge=0, le=MOST_HOSTS)]
TaskCount = Annotated[int, BeforeValidator(_number), Field(ge=0, le=MOST_TASKS)]
Revision = Annotated[int, BeforeValidator(_number), Field(ge=1, le=2**31)]
Moment = Annotated[float, BeforeValidator(_moment), Field(ge=0, allow_inf_nan=False)]
"""Seconds since 1970; ``2026-01-31`` and ``2026-01-31T08:30:00+01:00`` are read as such."""
Port = Annotated[tuple[str, int], BeforeValidator(_port)]
Text = Annotated[str, BeforeValidator(_text), Field(max_length=1024)]

_CPUS: Final[TypeAdapter[int]] = TypeAdapter(Cpu)
_MEMORIES: Final[TypeAdapter[int]] = TypeAdapter(Memory)
