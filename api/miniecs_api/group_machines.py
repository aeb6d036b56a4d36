"""The machines of emulated Auto Scaling groups: one for each instance that a group has, and none besides.

The group's loop writes which instances there are; this makes it so, as EC2 does for Auto Scaling. Whatever
was left undone when a process died is found again by comparing the two.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from miniecs.config import InstanceSpec
from miniecs.control.capacity import registration
from miniecs.model.autoscaling import PENDING, AutoScalingGroup, GroupInstance
from miniecs.store import Commit, Store, StoreError

log = logging.getLogger("miniecs.server")


class Machinery(Protocol):
    """What starts and ends machines."""

    def launch(self, wanted: Iterable[InstanceSpec]) -> None:
        """New machines, without waiting for them."""

    def group_machines(self) -> Mapping[str, str]:
        """Machines that Auto Scaling groups launched: EC2 instance id -> group's ARN."""

    def terminate(self, instance_id: str) -> None:
        """End a group's machine, registered or not; there may be none."""


class GroupMachines:
    """Follows the store. soon: calls a function when whoever commits has finished."""

    def __init__(
        self, store: Store, machinery: Machinery, soon: Callable[[Callable[[], None]], object]
    ) -> None:
        self._store = store
        self._machinery = machinery
        self._soon = soon
        self._due = False
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        self._unsubscribe = self._store.subscribe(self._on_commit)
        self.converge()

    def stop(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def converge(self) -> None:
        """Start the machines that are missing, and end those that belong to no instance any more."""
        self._due = False
        if self._unsubscribe is None:
            return
        try:
            self._converge()
        except StoreError as problem:
            log.error("the machines of Auto Scaling groups are not as they should be yet: %s", problem)

    def _converge(self) -> None:
        machines = self._machinery.group_machines()
        wanted = {member.instance_id: member for member in self._store.all(GroupInstance)}
        for instance_id in machines.keys() - wanted.keys():
            self._machinery.terminate(instance_id)
        missing = [member for id, member in wanted.items() if id not in machines]
        self._machinery.launch(spec for member in missing if (spec := self._spec(member)) is not None)

    def _spec(self, member: GroupInstance) -> InstanceSpec | None:
        """None for an instance that was deregistered, too: its group is about to forget it."""
        group = self._store.get(AutoScalingGroup, member.group_arn)
        if group is None:
            return None
        was_registered = member.lifecycle_state != PENDING
        if was_registered and registration(self._store, group, member.instance_id) is None:
            return None
        return InstanceSpec(
            group.cluster_arn,
            group.instance_type,
            member.zone,
            instance_id=member.instance_id,
            group_arn=group.arn,
        )

    def _on_commit(self, commit: Commit) -> None:
        if not self._due and any(change.kind is GroupInstance for change in commit.changes):
            self._due = True
            self._soon(self.converge)
