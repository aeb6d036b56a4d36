"""Machines of Auto Scaling groups in a simulated cluster: hosts that are switched on and off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from miniecs.config import InstanceSpec
from miniecs_agent.sim.instances import NewInstance, SimulatedInstances


class SimulatedMachinery:
    """What starts and ends machines (miniecs_api.group_machines.Machinery)."""

    def __init__(self, instances: SimulatedInstances) -> None:
        self._instances = instances

    def launch(self, wanted: Iterable[InstanceSpec]) -> None:
        for spec in wanted:
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
        return self._instances.group_machines()

    def terminate(self, instance_id: str) -> None:
        self._instances.terminate(instance_id)
