"""Machines of Auto Scaling groups in a simulated cluster: hosts that are switched on and off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from miniecs.config import InstanceSpec
from miniecs.sim.timeline import Timeline
from miniecs_agent.sim.instances import NewInstance, SimulatedInstances


class SimulatedMachinery:
    """What starts and ends machines (miniecs_api.group_machines.Machinery).

    launch_times: seconds from a machine's launch until its agent starts, by group; else it starts at once.
    """

    def __init__(self, instances: SimulatedInstances, timeline: Timeline) -> None:
        self.launch_times: dict[str, float] = {}
        self._instances = instances
        self._timeline = timeline
        self._starting: dict[str, str] = {}  # EC2 instance id -> group's ARN

    def launch(self, wanted: Iterable[InstanceSpec]) -> None:
        for spec in wanted:
            takes = self.launch_times.get(spec.group_arn, 0.0)
            if takes:
                self._starting[spec.instance_id] = spec.group_arn
                self._timeline.call_at(self._timeline.now() + takes, partial(self._started, spec))
            else:
                self._add(spec)

    def _started(self, spec: InstanceSpec) -> None:
        if self._starting.pop(spec.instance_id, None) is not None:
            self._add(spec)

    def _add(self, spec: InstanceSpec) -> None:
        self._instances.add(
            NewInstance(
                spec.type,
                spec.zone or "",
                spec.cluster,
                spec.attributes,
                spec.instance_id,
                spec.group_arn,
            )
        )

    def group_machines(self) -> Mapping[str, str]:
        return {**self._instances.group_machines(), **self._starting}

    def terminate(self, instance_id: str) -> None:
        if self._starting.pop(instance_id, None) is None:
            self._instances.terminate(instance_id)
