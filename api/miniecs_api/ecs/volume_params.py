"""The volume configurations of a call: what is said at launch about a task definition's volume.

Nothing here makes EBS volumes, so what EC2 would refuse, whom ECS asks first, is refused here by rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from miniecs.model import fargate
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.context import Context
from miniecs_api.ecs.launch_params import invalid

Volumes = tuple[Mapping[str, Any], ...]

_HINT = (
    "No EBS volume is made: each task gets an empty volume on its engine's disk, without size limit, "
    "snapshot or encryption, which is removed with the task's containers."
)
_DEFAULT_TYPE = "gp2"  # CreateVolume's
_MAX_THROUGHPUT = 1000  # MiB/s
_IOPS_OF_A_MIB = 4  # that a volume needs for each MiB/s
_RATES = range(100, 301)  # MiB/s


class _Type(NamedTuple):
    """Sizes in GiB. iops: None where it is not to be given; so many of them a GiB at most."""

    least: int
    most: int
    iops: tuple[int, int] | None = None
    iops_of_a_gib: int = 0
    included: int | None = None  # iops that every volume has, whatever its size


_TYPES = {
    "gp2": _Type(1, 16384),
    "gp3": _Type(1, 16384, (3000, 16000), 500, 3000),
    "io1": _Type(4, 16384, (100, 64000), 50),
    "io2": _Type(4, 16384, (100, 256000), 1000),
    "st1": _Type(125, 16384),
    "sc1": _Type(125, 16384),
    "standard": _Type(1, 1024),
}


def volume_configurations(
    ctx: Context, params: dict[str, Any], definition: TaskDefinition, runs_on: str, kept: Volumes = ()
) -> Volumes:
    """The call's, else those that a service has; they go with the task definition's volume, one for one."""
    given = params.get("volumeConfigurations")
    chosen = kept if given is None else tuple(given)
    if len(chosen) > 1:
        raise invalid("volumeConfigurations can have at most 1 items.")
    _check_names(chosen, definition)
    for configuration in chosen:
        _check(configuration["name"], configuration.get("managedEBSVolume"), runs_on)
    if chosen:
        ctx.hint(_HINT)
    return chosen


def _check_names(chosen: Volumes, definition: TaskDefinition) -> None:
    wanted = {volume.name for volume in definition.volumes if volume.configured_at_launch}
    if chosen and not wanted:
        raise invalid(
            "Volume configuration provided but no matching configuredAtLaunch volume found in task "
            "definition",
            "An empty volumeConfigurations removes what a service has.",
        )
    for name in (configuration["name"] for configuration in chosen):
        if name not in wanted:
            raise invalid(
                f"The volume name '{name}' in your request does not have a matching volume in your Task "
                "Definition",
                f"The volume that is configured at launch is {', '.join(wanted)}.",
            )
    if wanted and not chosen:
        raise invalid(
            f"Volume configuration must be provided for the configuredAtLaunch volume '{', '.join(wanted)}' "
            "of the task definition."
        )


def _check(name: str, volume: Mapping[str, Any] | None, runs_on: str) -> None:
    if volume is None:
        raise invalid(f"managedEBSVolume must be specified for volume '{name}'.")
    type = volume.get("volumeType") or _DEFAULT_TYPE
    if type == "standard" and runs_on == fargate.LAUNCH_TYPE:
        raise invalid("The standard volume type is not supported for the FARGATE launch type.")
    if problem := _snapshot(volume) or _rules(type, volume):
        code, text = problem
        raise invalid(
            f"ECS managed EBS volume configuration was invalid for volume '{name}'. Encountered '{code}' "
            f'error from AmazonEC2: "{text}"'
        )


_Problem = tuple[str, str] | None  # EC2's code and message
_VALUE, _COMBINATION = "InvalidParameterValue", "InvalidParameterCombination"


def _snapshot(volume: Mapping[str, Any]) -> _Problem:
    rate, snapshot = volume.get("volumeInitializationRate"), volume.get("snapshotId")
    if rate is not None and not snapshot:
        return _COMBINATION, (
            "You can't specify VolumeInitializationRate for volumes that are not created from a snapshot."
        )
    if rate is not None and rate not in _RATES:
        return _VALUE, "The value specified for VolumeInitializationRate is not in the allowed range."
    if volume.get("sizeInGiB") is None and not snapshot:
        return "MissingParameter", "The request must contain the parameter size/snapshot"
    return None


def _rules(type: str, volume: Mapping[str, Any]) -> _Problem:
    rules = _TYPES.get(type)
    if rules is None:
        return "UnknownVolumeType", f"Unsupported volume type '{type}' for volume creation."
    iops, throughput = volume.get("iops"), volume.get("throughput")
    if iops is None and rules.iops and rules.included is None:
        return _COMBINATION, f"The parameter iops must be specified for {type} volumes."
    if iops is not None and not rules.iops:
        return _COMBINATION, f"The parameter iops is not supported for {type} volumes."
    if throughput is not None and type != "gp3":
        return _COMBINATION, f"The throughput parameter is not supported for {type} volumes."
    has = iops if iops is not None else rules.included
    return (
        _size(type, rules, volume.get("sizeInGiB"))
        or _iops(rules, has, volume.get("sizeInGiB"))
        or _throughput(throughput, has)
    )


def _size(type: str, rules: _Type, size: int | None) -> _Problem:
    """A snapshot's own size, which counts where none is said, nobody here knows."""
    if size is not None and size < rules.least:
        return _VALUE, (
            f"The volume size is invalid for {type} volumes: {size} GiB. {type} volumes must be at least "
            f"{rules.least} GiB in size. Please specify a volume size above the minimum limit."
        )
    if size is not None and size > rules.most:
        return _VALUE, (
            f"Volume of {size}GiB is too large for volume type {type}; maximum is {rules.most}GiB"
        )
    return None


def _iops(rules: _Type, iops: int | None, size: int | None) -> _Problem:
    if iops is None or rules.iops is None:
        return None
    least, most = rules.iops
    if iops < least:
        return _VALUE, f"Volume iops of {iops} is too low; minimum is {least}."
    if iops > most:
        return _VALUE, f"Volume iops of {iops} is too high; maximum is {most}."
    if size is not None and iops != rules.included and iops > size * rules.iops_of_a_gib:
        return _VALUE, (
            f"Iops to volume size ratio of {iops / size:.6f} is too high; maximum is {rules.iops_of_a_gib}"
        )
    return None


def _throughput(throughput: int | None, iops: int | None) -> _Problem:
    if throughput is None or iops is None:
        return None
    if throughput < 0:
        return _VALUE, (
            f"Value ({throughput}) for parameter throughput is invalid. Value must be a positive integer."
        )
    if throughput > _MAX_THROUGHPUT:
        return _VALUE, f"Volume throughput of {throughput} is too high; maximum is {_MAX_THROUGHPUT}."
    if throughput * _IOPS_OF_A_MIB > iops:
        return _VALUE, (
            f"Throughput (MiBps) to iops ratio of {throughput / iops:.6f} is too high; maximum is 0.250000 "
            "MiBps per iops"
        )
    return None
