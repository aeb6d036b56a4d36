"""What `up` was asked for: checked, completed by what it was asked for last, and compared with what runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from miniecs.cli.problem import ASKED_WRONGLY, Problem
from miniecs.config import ServerSettings, group_sizes, throttle_delays
from miniecs.ids import Ids
from miniecs.model.frozen import replace
from miniecs.model.instance_types import UnknownInstanceType, instance_type

_MOST_INSTANCES = 5000  # ECS's quota for one cluster
_MOST_ZONES = 26
_OWNER_DIGITS = 12
_ACCESS_KEY_LETTERS = 20
_SECRET_DIGITS = 40
_CLUSTER = re.compile(r"^[a-zA-Z0-9_-]{1,255}$")
_REGION = re.compile(r"^[a-z]{2,}(-[a-z]+)+-\d+$")


def option(name: str) -> str:
    """The option of `up` that sets the field, e.g. ``--time-scale``."""
    return "--allow-host" if name == "allow_hosts" else "--" + name.replace("_", "-")


def completed(saved: ServerSettings | None, data_dir: Path, given: Mapping[str, Any]) -> ServerSettings:
    """What was given now, and for the rest what the folder was started with before, or the defaults.

    Raises Problem for a value that cannot be.
    """
    settings = replace(saved or ServerSettings(str(data_dir)), **given)
    _check(settings)
    if settings.autoscale and "instances" in given:
        raise _wrong(
            "instances",
            f"with --autoscale {settings.autoscale} its Auto Scaling group decides how many there are. Give "
            "one of the two.",
        )
    return settings


def with_credentials(settings: ServerSettings) -> ServerSettings:
    """The same with an owner's id and join credentials: those that it has, or new ones."""
    ids = Ids()
    return replace(
        settings,
        owner=settings.owner or ids.secret()[:_OWNER_DIGITS],
        join_access_key=settings.join_access_key or ids.letters(_ACCESS_KEY_LETTERS).upper(),
        join_secret=settings.join_secret or (ids.secret() + ids.secret())[:_SECRET_DIGITS],
    )


def differences(running: ServerSettings, given: Mapping[str, Any]) -> list[str]:
    """In which of the given settings the running server is another one, e.g. ``--port is 4566, not 4600``."""
    is_now = asdict(running)
    return [
        f"{option(name)} is {_shown(is_now[name])}, not {_shown(value)}"
        for name, value in given.items()
        if is_now[name] != value and not (name == "port" and value == 0)
    ]


def from_document(document: Any, data_dir: Path) -> ServerSettings:
    """The settings as they were saved. Raises ValueError for anything else."""
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    defaults = {field.name: field.default for field in fields(ServerSettings)}
    for name, value in document.items():
        if name not in defaults:
            raise ValueError(f"it has the unknown setting {name!r}, perhaps of a newer miniecs")
        if not _fits(name, value, defaults[name]):
            raise ValueError(f"{name} is {value!r}")
    hosts = tuple(document.get("allow_hosts", ()))
    return ServerSettings(**{**document, "data_dir": str(data_dir), "allow_hosts": hosts})


def _fits(name: str, value: Any, default: Any) -> bool:
    """Whether a saved value has its field's type; True is no number."""
    match name:
        case "data_dir":
            return isinstance(value, str)
        case "allow_hosts":
            return isinstance(value, list) and all(isinstance(host, str) for host in value)
        case "time_scale":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(default)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(value) or "not given"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check(settings: ServerSettings) -> None:
    if settings.runtime not in ("docker", "simulated"):
        raise _wrong("runtime", f"{settings.runtime!r} is neither simulated nor docker.")
    if not 0 <= settings.port <= 65535:
        raise _wrong("port", f"{settings.port} is not a port. Give 1 to 65535, or 0 for a free one.")
    if not 0 <= settings.instances <= _MOST_INSTANCES:
        raise _wrong(
            "instances",
            f"{settings.instances} is not between 0 and {_MOST_INSTANCES}, ECS's quota for one cluster.",
        )
    if settings.autoscale:
        _check_autoscale(settings.autoscale)
    if not 1 <= settings.zones <= _MOST_ZONES:
        raise _wrong("zones", f"{settings.zones} is not between 1 and {_MOST_ZONES}.")
    if not 0 < settings.time_scale < float("inf"):
        raise _wrong("time_scale", f"{settings.time_scale:g} divides nothing. Give a number above 0.")
    _check_throttle(settings.launch_throttle)
    if not re.fullmatch(r"\d{12}", settings.account):
        raise _wrong("account", f"{settings.account!r} is not an AWS account id, which has twelve digits.")
    if not _REGION.match(settings.region):
        raise _wrong("region", f"{settings.region!r} is not a region's name. Give one like us-east-1.")
    if not _CLUSTER.match(settings.cluster):
        raise _wrong(
            "cluster",
            f"{settings.cluster!r} is not a cluster's name, which has up to 255 letters, digits, hyphens and "
            "underscores.",
        )
    if settings.durability not in ("normal", "full"):
        raise _wrong("durability", f"{settings.durability!r} is neither normal nor full.")
    _check_bind(settings.bind)
    try:
        instance_type(settings.instance_type)
    except UnknownInstanceType as error:
        raise _wrong("instance_type", f"{error}.") from error


def _check_autoscale(text: str) -> None:
    try:
        least, most = group_sizes(text)
    except ValueError as error:
        raise _wrong("autoscale", f"{text!r} is not MIN:MAX. Give sizes like 1:10.") from error
    if most < 1 or most > _MOST_INSTANCES:
        raise _wrong(
            "autoscale",
            f"{most} is not between 1 and {_MOST_INSTANCES}; MAX is the size up to which the group may grow.",
        )
    if not 0 <= least <= most:
        raise _wrong("autoscale", f"{least} is not between 0 and {most}; MIN must not be above MAX.")


def _check_throttle(text: str) -> None:
    try:
        first, most = throttle_delays(text)
    except ValueError as error:
        why = f"{text!r} is not FIRST:MOST. Give seconds like 10:900."
        raise _wrong("launch_throttle", why) from error
    if not 0 < first <= most < float("inf"):
        raise _wrong("launch_throttle", f"{text} does not begin above 0 and grow. Give seconds like 10:900.")


def _check_bind(bind: str) -> None:
    if bind == "localhost":
        return
    try:
        ip_address(bind)
    except ValueError as error:
        raise _wrong(
            "bind", f"{bind!r} is not an address of this machine. Give one like 127.0.0.1 or 0.0.0.0."
        ) from error


def _wrong(name: str, why: str) -> Problem:
    return Problem(f"{option(name)}: {why}", ASKED_WRONGLY)
