"""The machines that were launched on engines: made, told to their hosts' agents, and forgotten again.

The local stand-in for EC2. A machine is one container instance's; it goes as soon as its instance was
deregistered or its cluster deleted, since nobody could name it any more and its engine would keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from miniecs.config import InstanceSpec
from miniecs.ids import Ids
from miniecs.model import arns
from miniecs.model.cluster import Cluster
from miniecs.model.emulated import EmulatedInstance
from miniecs.model.instance import ContainerInstance
from miniecs.model.instance_types import instance_type
from miniecs.model.scope import Scope
from miniecs.store import Commit, Reader, Store, Transaction
from miniecs_api.wire.errors import AwsError


class Machines:
    """All machines of one server. zone: of a cluster's n-th machine, where none is given."""

    def __init__(self, store: Store, ids: Ids, scope: Scope, zone: Callable[[int], str]) -> None:
        self._store = store
        self._ids = ids
        self._scope = scope
        self._zone = zone

    def launch(self, host: str, wanted: Iterable[InstanceSpec]) -> list[EmulatedInstance]:
        """New machines, of which the host's agent is told by this commit.

        Raises UnknownInstanceType, and AwsError for a cluster that there is not.
        """
        with self._store.transaction() as tx:
            return [self._launched(tx, host, spec) for spec in wanted]

    def forget(self, instance_ids: Iterable[str]) -> None:
        """The machines are wanted no more; their hosts' agents remove what there is of them."""
        with self._store.transaction() as tx:
            for instance_id in instance_ids:
                if tx.get(EmulatedInstance, instance_id) is not None:
                    tx.delete(EmulatedInstance, instance_id)

    def of(self, host: str) -> list[EmulatedInstance]:
        return self._store.find(EmulatedInstance, "host", host)

    def registration(self, machine: EmulatedInstance) -> ContainerInstance | None:
        """The container instance that a machine is registered as."""
        return registration(self._store, machine)

    def orphans(self, commit: Commit) -> list[str]:
        """Machines whose container instance or cluster this commit has made INACTIVE."""
        found: list[str] = []
        for change in commit.changes:
            if change.kind is ContainerInstance and _is_over(change.after):
                instance = change.before or change.after
                machine = self._store.get(EmulatedInstance, instance.ec2_instance_id or "")
                if machine is not None and self.registration(machine) is None:
                    found.append(machine.instance_id)
            elif change.kind is Cluster and _is_over(change.after):
                machines = self._store.find(EmulatedInstance, "cluster", change.key)
                found += [machine.instance_id for machine in machines]
        return found

    def _launched(self, tx: Transaction, host: str, spec: InstanceSpec) -> EmulatedInstance:
        cluster = _cluster(tx, spec.cluster, self._scope)
        known = tx.get(EmulatedInstance, spec.instance_id) if spec.instance_id else None
        if known is not None:
            return known
        zone = spec.zone or self._zone(len(tx.find(EmulatedInstance, "cluster", cluster.arn)))
        machine = EmulatedInstance(
            instance_id=spec.instance_id or f"i-{self._ids.hex(17)}",
            host=host,
            cluster_arn=cluster.arn,
            instance_type=instance_type(spec.type).name,
            zone=zone,
            attributes=spec.attributes,
            group_arn=spec.group_arn,
        )
        tx.put(machine)
        return machine


def wire(view: Reader, machine: EmulatedInstance) -> dict[str, Any]:
    """A machine as its host's agent is told of it. cpu: CPU units, memory: MiB."""
    kind = instance_type(machine.instance_type)
    instance = registration(view, machine)
    return {
        "instanceId": machine.instance_id,
        "arn": instance.arn if instance else None,
        "cluster": arns.name_of(machine.cluster_arn),
        "zone": machine.zone,
        "instanceType": kind.name,
        "cpu": kind.cpu,
        "memory": kind.memory,
        "attributes": dict(machine.attributes),
    }


def registration(view: Reader, machine: EmulatedInstance) -> ContainerInstance | None:
    """The container instance that a machine is registered as."""
    same = view.find(ContainerInstance, "machine", machine.instance_id)
    return next((instance for instance in same if instance.cluster_arn == machine.cluster_arn), None)


def _cluster(tx: Transaction, name_or_arn: str, scope: Scope) -> Cluster:
    arn = name_or_arn if name_or_arn.startswith("arn:") else arns.cluster(scope, name_or_arn)
    found = tx.get(Cluster, arn)
    if found is None or found.status == "INACTIVE":
        raise AwsError("ClusterNotFoundException", "Cluster not found.")
    return found


def _is_over(after: ContainerInstance | Cluster | None) -> bool:
    return after is None or after.status == "INACTIVE"
