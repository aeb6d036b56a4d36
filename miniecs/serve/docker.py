"""The runtime of real containers: machines are noted in the store, and agents on engines play them.

The server speaks with no engine. It tells each engine's agent over its host link which machines there are,
and sees from their registrations and connections what has become of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from miniecs.config import InstanceSpec
from miniecs.model.emulated import LOCAL, EmulatedInstance
from miniecs.model.instance import ContainerInstance
from miniecs.store import Commit, Store
from miniecs_api.hosts import HostLinks
from miniecs_api.machines import Machines
from miniecs_api.pages import InstanceFailed

log = logging.getLogger("miniecs.server")

CONNECTED_WITHIN = 20.0  # seconds from the launch of a machine to its agent's connection
REMOVED_WITHIN = 20.0  # seconds for an engine to get rid of what ran; the command line waits 30 for an answer


class DockerRuntime:
    """Container instances on engines (miniecs.serve.runtime.Runtime)."""

    def __init__(self, store: Store, machines: Machines, links: HostLinks) -> None:
        self._store = store
        self._machines = machines
        self._links = links
        self._happened = asyncio.Event()
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        self._links.start(self._wake)
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def stop(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._links.stop()

    def launch(self, wanted: Iterable[InstanceSpec]) -> None:
        self._machines.launch(LOCAL, wanted)

    def group_machines(self) -> Mapping[str, str]:
        machines = self._store.all(EmulatedInstance)
        return {machine.instance_id: machine.group_arn for machine in machines if machine.group_arn}

    def terminate(self, instance_id: str) -> None:
        self._machines.forget([instance_id])

    async def add(self, wanted: InstanceSpec) -> str:
        link = self._links.get(LOCAL)
        if link is None:
            raise InstanceFailed(
                "No agent is connected that could make a container instance. `miniecs up` keeps one running; "
                "agent.log in the data folder's logs says why it is not there."
            )
        if link.state is not None and not link.state.engine:
            raise InstanceFailed("The container engine does not answer. `miniecs doctor` says more.")
        [machine] = self._machines.launch(LOCAL, [wanted])
        await self._until(lambda: self._connected(machine) or self._failure(machine), CONNECTED_WITHIN)
        if arn := self._connected(machine):
            return arn
        late = f"its agent did not connect within {CONNECTED_WITHIN:g} s. See agent.log."
        why = self._failure(machine) or late
        self._machines.forget([machine.instance_id])
        raise InstanceFailed(f"The container instance {machine.instance_id} could not be added: {why}")

    async def remove(self, instance_arn: str) -> None:
        instance = self._store.get(ContainerInstance, instance_arn)
        machine = instance.ec2_instance_id if instance is not None else None
        if machine is None:
            return
        self._machines.forget([machine])
        if not await self._until(lambda: self._gone(machine), REMOVED_WITHIN):
            raise InstanceFailed(
                f"The container instance {machine} is deregistered, and its engine has not removed what ran "
                f"on it yet{self._hindrance(machine)}. Its agent goes on trying."
            )

    def _hindrance(self, instance_id: str) -> str:
        """Why something of an instance that nobody wants is still there, as far as it is known."""
        states = [link.state for link in self._links if link.state is not None]
        if not all(state.engine for state in states):
            return ": the engine does not answer"
        failures = [state.failed[instance_id] for state in states if instance_id in state.failed]
        return f": {failures[0]}" if failures else ""

    async def reset(self) -> None:
        waiting = {link.host for link in self._links}
        self._links.wiped()
        if not await self._until(lambda: self._empty(waiting), REMOVED_WITHIN):
            log.warning("not everything that ran is removed yet; the agents go on removing it")

    def begin_anew(self, *, restore: bool) -> None:
        self._links.begin_anew(restore=restore)

    # Waiting

    def _connected(self, machine: EmulatedInstance) -> str | None:
        instance = self._machines.registration(machine)
        return instance.arn if instance is not None and instance.agent_connected else None

    def _failure(self, machine: EmulatedInstance) -> str | None:
        link = self._links.get(machine.host)
        return link.failure(machine.instance_id) if link is not None else "its host's agent is gone."

    def _gone(self, instance_id: str) -> bool:
        return all(link.is_rid_of(instance_id) for link in self._links)

    def _empty(self, hosts: Iterable[str]) -> bool:
        """Whether nothing is left on hosts; one whose link ends meanwhile is told when it is back."""
        links = [link for link in map(self._links.get, hosts) if link is not None]
        return all(link.is_empty for link in links)

    async def _until(self, seen: Callable[[], object], within: float) -> bool:
        """Wait until something is seen; False when it was not in time (seconds)."""
        try:
            async with asyncio.timeout(within):
                while not seen():
                    await self._happened.wait()
        except TimeoutError:
            return False
        return True

    def _on_commit(self, commit: Commit) -> None:
        self._wake()

    def _wake(self) -> None:
        """Whoever waits looks again."""
        self._happened.set()
        self._happened = asyncio.Event()
