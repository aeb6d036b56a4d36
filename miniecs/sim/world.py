"""A whole cluster on simulated time: the same seed gives the same history, to the last id.

Real are the operations, the store, the reconciler, control, the scheduler, the agents' sessions, the agents
and the load balancer's balancing; simulated are clock, ids, engines, processes and the network between them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from miniecs.config import Timing
from miniecs.control.plan import Key, Plan
from miniecs.fleets import Fleets
from miniecs.ids import Ids
from miniecs.model import arns, fargate
from miniecs.model.autoscaling import AutoScalingGroup
from miniecs.model.scope import Scope
from miniecs.model.task import Task
from miniecs.reconciler import SETTLE, Reconciler
from miniecs.sim.data_plane import DataPlane
from miniecs.sim.fargate import FargateMachines
from miniecs.sim.group_invariants import GroupInvariants
from miniecs.sim.groups import SimulatedMachinery
from miniecs.sim.history import History
from miniecs.sim.image_invariants import ImageInvariants
from miniecs.sim.invariants import Invariants
from miniecs.sim.network import ControlPlane, SimulatedNetwork
from miniecs.sim.release_invariants import ReleaseInvariants
from miniecs.sim.requests import Requests
from miniecs.sim.target_invariants import TargetInvariants
from miniecs.sim.timeline import Timeline
from miniecs.store import Store
from miniecs.store.memory import MemoryStore
from miniecs_agent.sim.engine import Latencies
from miniecs_agent.sim.instances import NewInstance, SimulatedHost, SimulatedInstances
from miniecs_api.agent_session import HEARTBEAT_EVERY
from miniecs_api.agents import AgentSessions
from miniecs_api.context import ApiSettings
from miniecs_api.group_machines import GroupMachines
from miniecs_api.links import Prober
from miniecs_api.operations import Operations
from miniecs_api.simulated import StoreJournal, agents_calls
from miniecs_api.tables import RETURNS_WITHIN, TableFeed
from miniecs_api.wire.errors import AwsError

REGION = "us-east-1"


class ControlPlaneDown(Exception):
    """A call was made while the control plane is down."""


class World:
    """One simulated cluster named ``cluster``, its hosts spread over the zones.

    timing: waits of ECS. latencies: how long engines take. store: another than a fresh one in memory.
    checked: invariants are checked at every commit and after every plan (InvariantBroken).
    settle: seconds that a service rests after it was planned. heartbeat_every: seconds, on each channel.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        hosts: int = 3,
        zones: int = 3,
        types: tuple[str, ...] = ("m5.large",),
        timing: Timing | None = None,
        latencies: Latencies | None = None,
        cluster: str = "default",
        store: Store | None = None,
        checked: bool = True,
        settle: float = SETTLE,
        heartbeat_every: float = HEARTBEAT_EVERY,
    ) -> None:
        self.seed = seed
        self.timing = timing or Timing()
        self.scope = Scope("000000000000", REGION)
        self.cluster = cluster
        self.cluster_arn = arns.cluster(self.scope, cluster)
        self.timeline = Timeline()
        self.ids = Ids(seed)
        self.store: Store = store if store is not None else MemoryStore()
        self.history = History(self.timeline)
        self.data_plane = DataPlane(self.timeline, Ids(seed))  # ids of its own: it changes no history
        self.requests: Requests | None = None
        self.invariants = Invariants(self) if checked else None
        self._target_invariants = TargetInvariants(self) if checked else None
        self.releases = ReleaseInvariants(self) if checked else None
        self.images = ImageInvariants(self) if checked else None
        self.group_invariants = GroupInvariants(self) if checked else None
        self._settings = ApiSettings(
            account=self.scope.account, region=self.scope.region, timing=self.timing
        )
        self._reachable = ControlPlane()
        self.network = SimulatedNetwork(self.timeline, self.ids, self._reachable)
        self.instances = SimulatedInstances(
            self.timeline,
            self.network,
            self.ids,
            StoreJournal(self.store),
            self.timing,
            latencies=latencies or Latencies(),
        )
        self._settle = settle
        self._heartbeat_every = heartbeat_every
        self._fargate = FargateMachines(self.store, self.timeline, self.scope, self.instances)
        self.machinery = SimulatedMachinery(self.instances, self.timeline)
        self._groups = GroupMachines(self.store, self.machinery, self._soon)
        self._kill_at_next_plan: float | None = None  # how long it will be down
        self._is_killed = False
        self._generation = 0
        self.up_since = self.now
        self._wake_at: float | None = None
        self.start_control_plane()
        self.call("ecs", "CreateCluster", clusterName=cluster)
        self.zones = [f"{REGION}{'abcdef'[n]}" for n in range(zones)]
        self._types = types
        for n in range(hosts):
            self.add_host(zone=self.zones[n % zones], type=types[n % len(types)])

    # Time

    @property
    def now(self) -> float:
        return self.timeline.now()

    @property
    def is_up(self) -> bool:
        return self._reachable.api is not None

    def run(self, seconds: float | None = None, *, until: float | None = None) -> None:
        """Let so many seconds pass, or until a moment."""
        end = until if until is not None else self.now + (seconds or 0.0)
        self._react()
        heap = self.timeline.heap
        while heap and (at := heap[0][0]) <= end:
            self._happen(at)
        self._pass_time(end)

    def run_until(self, is_so: Callable[[], bool], limit: float = 600.0) -> bool:
        """Run until it is so, at most ``limit`` seconds; whether it came to be."""
        end = self.now + limit
        self._react()
        while not is_so():
            at = self.timeline.next_at
            if at is None or at > end:
                self._pass_time(end)
                return is_so()
            self._happen(at)
        return True

    def _happen(self, at: float) -> None:
        """Let the next event happen, which is then."""
        if self.requests is not None:
            self.requests.pass_time(at)
        self.timeline.step()
        # As _react, written out: this is done ten thousand times a run.
        if self._reachable.api is not None and self.reconciler.has_work(at):
            self._step(self._generation)
        if self.requests is not None:
            self.requests.happened()

    def _pass_time(self, until: float) -> None:
        if self.requests is not None:
            self.requests.pass_time(until)
        self.timeline.advance_to(until)

    def _soon(self, call: Callable[[], None]) -> None:
        self.timeline.call_at(self.now, call)

    def _react(self) -> None:
        """Let the reconciler do what the last event made due."""
        if self._reachable.api is not None and self.reconciler.has_work(self.timeline.now()):
            self._step(self._generation)

    def _step(self, generation: int) -> None:
        if generation != self._generation or not self.is_up:
            return
        wake = self.reconciler.step(self.now)
        if self._is_killed:
            self._die()
        elif wake is not None and (self._wake_at is None or not self.now < self._wake_at <= wake):
            self._wake_at = wake
            self.timeline.call_at(wake, partial(self._step, generation))

    # Calls

    def call(self, service: str, operation: str, /, **params: Any) -> dict[str, Any]:
        """An operation, e.g. call("ecs", "CreateService", serviceName="web", …); raises AwsError."""
        if not self.is_up:
            raise ControlPlaneDown(operation)
        self.history.note("call", operation, params)
        result = self.operations.call(service, operation, params, self.scope).result
        self._react()
        return result

    def ecs(self, operation: str, /, **params: Any) -> dict[str, Any]:
        return self.call("ecs", operation, **params)

    def elbv2(self, operation: str, /, **params: Any) -> dict[str, Any]:
        return self.call("elbv2", operation, **params)

    def attempt(self, step: Callable[[], None]) -> None:
        """What a user tries: that it was refused, or that nobody answered, goes into the history."""
        try:
            step()
        except AwsError as refused:
            self.history.note("refuse", refused.code, {"message": refused.message})
        except ControlPlaneDown:
            self.history.note("refuse", "nobody answers", {})

    def tasks(self, *statuses: str, service: str | None = None) -> list[Task]:
        """Tasks in the order in which they were started; of one service, and in these states, if given."""
        service_arn = arns.service(self.scope, self.cluster, service) if service is not None else None
        return [
            task
            for task in self.store.find(Task, "cluster", self.cluster_arn)
            if (not statuses or task.last_status in statuses)
            and (service_arn is None or task.service_arn == service_arn)
        ]

    # Hosts

    def add_host(
        self,
        *,
        zone: str | None = None,
        type: str | None = None,
        attributes: tuple[tuple[str, str], ...] = (),
    ) -> SimulatedHost:
        """Start one more host; it joins when its agent has registered."""
        wanted = NewInstance(type or self._types[0], zone or self.zones[0], self.cluster, attributes)
        return self.instances.add(wanted)

    def add_group(
        self,
        least: int,
        most: int,
        *,
        type: str | None = None,
        name: str = "group",
        is_default: bool = True,
        **provider: Any,
    ) -> AutoScalingGroup:
        """An Auto Scaling group and its capacity provider of the same name, by default the cluster's default.

        provider: more of autoScalingGroupProvider, e.g. managedScaling.
        """
        group = self.make_group(least, most, type=type, name=name)
        described = {"autoScalingGroupArn": group.arn, "managedScaling": {"status": "ENABLED"}, **provider}
        self.ecs("CreateCapacityProvider", name=name, autoScalingGroupProvider=described)
        self.ecs(
            "PutClusterCapacityProviders",
            cluster=self.cluster,
            capacityProviders=[name],
            defaultCapacityProviderStrategy=[{"capacityProvider": name, "weight": 1}] if is_default else [],
        )
        return group

    def make_group(
        self,
        least: int,
        most: int,
        *,
        type: str | None = None,
        name: str = "group",
        zones: tuple[str, ...] = (),
        launch_time: float = 0.0,
    ) -> AutoScalingGroup:
        """An Auto Scaling group alone. launch_time: seconds that each of its machines takes to start."""
        group = AutoScalingGroup(
            arns.auto_scaling_group(self.scope, name, self.ids.uuid()),
            name,
            self.cluster_arn,
            type or self._types[0],
            zones or tuple(self.zones),
            min_size=least,
            max_size=most,
            desired_capacity=least,
            created_at=self.now,
        )
        if launch_time:
            self.machinery.launch_times[group.arn] = launch_time
        with self.store.transaction() as tx:
            tx.put(group)
        return group

    def hosts(self) -> list[SimulatedHost]:
        """Those of users that are alive."""
        return [host for host in self.machines() if not _is_fargate(host)]

    def machines(self) -> list[SimulatedHost]:
        """All that are alive, Fargate's too."""
        return [host for host in self.instances if host.alive]

    # The control plane's process

    def start_control_plane(self) -> None:
        """Start it on the store, knowing nothing else."""
        self._generation += 1
        self.up_since = self.now
        self._is_killed = False
        self._wake_at = None
        self.fleets = Fleets(self.store)
        self.operations = Operations(self.store, self.fleets, self.ids, self.timeline, self._settings)
        self.sessions = AgentSessions(
            self.store, self.ids, self.timeline, heartbeat_every=self._heartbeat_every
        )
        self.sessions.start()
        self.prober = Prober(self.store, self.timeline, self.timing, self.instances.probe)
        self.tables = TableFeed(self.store, self.timeline, self.timing)
        self.reconciler = Reconciler(
            self.store,
            self.fleets,
            self.ids,
            self.timing,
            settle=self._settle,
            on_planned=self._on_planned,
            targets_stay_until=self.now + RETURNS_WITHIN,
        )
        if self.invariants is not None:
            self.invariants.follow(self.reconciler)
        if self._target_invariants is not None:
            self._target_invariants.follow()
        if self.releases is not None:
            self.releases.follow()
        if self.group_invariants is not None:
            self.group_invariants.follow()
        self._fargate.start()
        self._groups.start()
        self.data_plane.control_plane_started(self.tables)
        self._reachable.sessions = self.sessions
        self._reachable.api = agents_calls(self.operations, self.scope)
        self._step(self._generation)
        self._tick_sessions(self._generation)

    def kill_control_plane(self, down_for: float, *, at_next_plan: bool = False) -> None:
        """Kill it, now or between its next plan and that plan's application; it is restarted later."""
        self._kill_at_next_plan = down_for
        if not at_next_plan:
            self._die()

    def spare_control_plane(self) -> None:
        """Take back a kill at the next plan."""
        self._kill_at_next_plan = None

    def _on_planned(self, key: Key, plan: Plan) -> bool:
        if self._is_killed or self._kill_at_next_plan is not None:
            self._is_killed = True
            return False
        self.history.plan(key, plan)
        if self.invariants is not None:
            self.invariants.planned(key)
        return True

    def _die(self) -> None:
        down_for, self._kill_at_next_plan = self._kill_at_next_plan or 0.0, None
        self._generation += 1
        self._reachable.sessions = self._reachable.api = None
        self.network.control_plane_died()
        self.sessions.stop()
        self.reconciler.close()
        self.prober.stop()
        self.tables.stop()
        self.data_plane.control_plane_died()
        self._fargate.stop()
        self._groups.stop()
        self.fleets.close()
        self.history.note("fault", "control plane is down", {})
        self.timeline.call_at(self.now + down_for, self.start_control_plane)

    def _tick_sessions(self, generation: int) -> None:
        if generation == self._generation and self.is_up:
            again = self.sessions.tick(self.now)
            self.timeline.call_at(again, partial(self._tick_sessions, generation))


def _is_fargate(host: SimulatedHost) -> bool:
    return f"/{fargate.CLUSTER}/" in host.arn
