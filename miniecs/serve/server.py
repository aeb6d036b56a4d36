"""The server put together: one store, the operations and control loops over it, and the runtime.

The composition root: the only place that knows every part; each part is given what it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from miniecs import __version__
from miniecs.clock import SystemClock
from miniecs.config import InstanceSpec, ServerSettings
from miniecs.fleets import Fleets
from miniecs.ids import Ids
from miniecs.model import arns, fargate, network
from miniecs.model.cluster import Cluster
from miniecs.model.data_plane import PATH as PROXY
from miniecs.model.instance import ContainerInstance
from miniecs.model.scope import Scope
from miniecs.reconciler import Reconciler
from miniecs.serve.autoscale import provide_group
from miniecs.serve.docker import DockerRuntime
from miniecs.serve.driver import Driver
from miniecs.serve.fargate import FargateCapacity
from miniecs.serve.runtime import Runtime
from miniecs.serve.simulated import SimulatedRuntime
from miniecs.store import StoreError
from miniecs.store.sqlite import SqliteStore
from miniecs_agent.shell.timers import LoopTimers
from miniecs_api.agents import TICK_EVERY, AgentSessions
from miniecs_api.app import ASGIApp, create_app
from miniecs_api.channels import AgentChannels
from miniecs_api.context import ApiSettings
from miniecs_api.data_plane import DataPlane
from miniecs_api.door import DoorSettings
from miniecs_api.extensions import Extensions
from miniecs_api.group_machines import GroupMachines
from miniecs_api.host_channel import HostChannel
from miniecs_api.hosts import HostLinks, HostSettings
from miniecs_api.machines import Machines
from miniecs_api.metrics import TaskMetrics
from miniecs_api.operations import Operations
from miniecs_api.proxy_channel import ProxyChannel
from miniecs_api.pulls import Pulls
from miniecs_api.rest import Moto, RestOfAws
from miniecs_api.signatures import JoinCredentials, Signatures
from miniecs_api.stream_socket import PATH as STREAMS
from miniecs_api.stream_socket import StreamSockets
from miniecs_api.tables import RETURNS_WITHIN

log = logging.getLogger("miniecs.server")


class Server:
    """Everything in one process, but not the HTTP server. Make it, ``start``, serve ``app``, ``close``."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.scope = Scope(settings.account, settings.region)
        self.clock = SystemClock()
        self.timing = settings.timing
        self.ids = Ids()
        folder = Path(settings.data_dir)
        durability = cast(Literal["normal", "full"], settings.durability)
        self.store = SqliteStore(folder / "state.db", durability=durability)
        self.fleets = Fleets(self.store)
        self.operations = Operations(
            self.store,
            self.fleets,
            self.ids,
            self.clock,
            ApiSettings(
                account=settings.account,
                region=settings.region,
                owner=settings.owner,
                strict=settings.strict,
                carries_traffic=settings.runtime != "simulated",
                endpoint=self.endpoint,
                timing=self.timing,
            ),
        )
        self.sessions = AgentSessions(self.store, self.ids, self.clock)
        self.extensions = Extensions(self.store, self.sessions, self.ids)
        self.reconciler = Reconciler(
            self.store,
            self.fleets,
            self.ids,
            self.timing,
            targets_stay_until=self.clock.now() + RETURNS_WITHIN,
        )
        self.rest_of_aws = RestOfAws(Moto(folder / "rest.jsonl", self.ids), self.store)
        self.machines = Machines(self.store, self.ids, self.scope, self._zone)
        self.links = HostLinks(self.store, self.machines, self._host_settings())
        self._runtime: Runtime = self._make_runtime()
        self._fargate = FargateCapacity(self.store, self._runtime, self.scope)
        self._groups = GroupMachines(self.store, self._runtime, self._soon)
        self.data_plane = DataPlane(self.store, self.clock, self.timing, settings.owner)
        join = JoinCredentials(settings.join_access_key, settings.join_secret)
        signatures = Signatures(join, self.clock)
        self._channels = AgentChannels(self.store, self.sessions, signatures, self.clock)
        self.app: ASGIApp = create_app(
            self.operations,
            self.rest_of_aws,
            self,
            DoorSettings(
                account=settings.account,
                region=settings.region,
                bind=settings.bind,
                allow_hosts=settings.allow_hosts,
            ),
            ids=self.ids,
            pages=self._pages,
            websockets={
                "/acs": self._channels.acs,
                "/tcs": self._channels.tcs,
                STREAMS: StreamSockets(
                    self.store, self.extensions.streams, simulated=settings.runtime == "simulated"
                ),
                "/host": HostChannel(self.links, signatures, self.clock, closed=self._no_hosts()),
                PROXY: ProxyChannel(self.data_plane),
            },
            guard=signatures,
        )
        self._ticker: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> str:
        return self.settings.endpoint

    @property
    def metrics(self) -> TaskMetrics:
        return self.sessions.metrics

    @property
    def pulls(self) -> Pulls:
        return self.extensions.pulls

    def start(self) -> None:
        """Begin to act: agents connect, control loops run. Needs a running event loop."""
        self.sessions.start()
        self.data_plane.start(LoopTimers(self.clock))
        self._driver = Driver(self.store, self.reconciler, self.clock)
        self._runtime.start()
        self._fargate.start()
        self._groups.start()
        self._ticker = asyncio.create_task(self._tick())
        if all(fargate.is_capacity(cluster.arn) for cluster in self.store.all(Cluster)):
            self._make_cluster()
        provide_group(self.store, self.operations, self.settings, self.scope, self.ids, self.clock.now())

    def end(self) -> None:
        """The HTTP server is about to hang up on everybody: that is no sign of anything."""
        self._channels.end()

    async def close(self) -> None:
        """Stop acting. What runs goes on from the store at the next start."""
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        self._driver.stop()
        self._fargate.stop()
        self._groups.stop()
        self.data_plane.stop()
        self._runtime.stop()
        self.sessions.stop()
        self.reconciler.close()
        await self.rest_of_aws.close()
        self.store.close()

    # What can be done to the server as a whole (miniecs_api.app.Admin)

    def health(self) -> Mapping[str, Any]:
        return {
            "status": "ok",
            "version": __version__,
            "runtime": self.settings.runtime,
            "endpoint": self.endpoint,
            "time_scale": self.settings.time_scale,
            "data_dir": self.settings.data_dir,
        }

    async def reset(self, restore: bool) -> None:
        """Wipe every account's state and switch every host off, with all that runs on it."""
        await self.rest_of_aws.reset()
        # The state first: what the agents report of the end of their tasks is then of no interest to anyone.
        self.sessions.reset()
        self.pulls.clear()
        self.store.wipe()
        self.data_plane.wiped()
        self.fleets.rebuild()
        self.reconciler.queue_everything()
        await self._runtime.reset()
        self._groups.converge()
        if restore:
            self._make_cluster()
            provide_group(self.store, self.operations, self.settings, self.scope, self.ids, self.clock.now())
        self._runtime.begin_anew(restore=restore)

    # Container instances

    async def add_instance(self, wanted: InstanceSpec) -> str:
        """Start a container instance; its ARN, once its agent is connected.

        Raises UnknownInstanceType, AwsError and InstanceFailed.
        """
        return await self._runtime.add(wanted)

    async def remove_instance(self, arn: str) -> None:
        """Switch a container instance off and deregister it; its tasks stop."""
        instance = self.store.get(ContainerInstance, arn)
        if instance is not None and instance.status != "INACTIVE":
            params = {"cluster": instance.cluster_arn, "containerInstance": arn, "force": True}
            self.operations.call("ecs", "DeregisterContainerInstance", params, arns.scope_of(arn))
        await self._runtime.remove(arn)

    def _make_cluster(self) -> None:
        """The cluster and container instances that `up` was asked for; none for ``--instances 0``."""
        if not self.settings.instances and not self.settings.autoscale:
            return
        self.operations.call("ecs", "CreateCluster", {"clusterName": self.settings.cluster}, self.scope)
        if self.settings.autoscale:
            return
        self._runtime.launch(
            InstanceSpec(self.settings.cluster, self.settings.instance_type, self._zone(number))
            for number in range(self.settings.instances)
        )

    def _soon(self, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(call)

    def _zone(self, number: int) -> str:
        """The zones of the region in turn: a, b, c …"""
        return network.zone_names(self.settings.region)[number % self.settings.zones]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_EVERY)
            try:
                self.sessions.tick(self.clock.now())
            except StoreError as problem:
                log.error("agents' connections could not be looked after: %s", problem)

    def _make_runtime(self) -> Runtime:
        if self.settings.runtime == "docker":
            return DockerRuntime(self.store, self.machines, self.links)
        return SimulatedRuntime(
            self.store,
            self.sessions,
            self.operations,
            self.scope,
            self.ids,
            self.clock,
            self.timing,
            self._zone,
        )

    def _no_hosts(self) -> str | None:
        """Why no engine can join, if none can."""
        if self.settings.runtime == "docker":
            return None
        return "This miniecs runs simulated containers only; no engine can join it."

    def _host_settings(self) -> HostSettings:
        settings = self.settings
        return HostSettings(
            scope=self.scope,
            owner=settings.owner,
            data_dir=settings.data_dir,
            time_scale=settings.time_scale,
            allow_privileged=settings.allow_privileged,
            cluster=settings.cluster,
            instance_type=settings.instance_type,
        )

    def _pages(self) -> ASGIApp:
        from miniecs_api import pages

        return pages.make(self)
