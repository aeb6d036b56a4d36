"""Settings that more than one layer needs: waits that ECS defines, and how a cluster is started."""

from __future__ import annotations

from dataclasses import dataclass, fields

from miniecs.model.frozen import replace


@dataclass(frozen=True, slots=True)
class Timing:
    """Every wait that ECS or the load balancer defines, in seconds; ``scaled`` divides them all.

    Sources: ECS developer guide and the ECS agent's defaults unless marked as ours.
    """

    healthy_after: float = 40.0  # RUNNING without any check counts as healthy after this
    stop_timeout: float = 30.0  # SIGTERM to SIGKILL, where the container sets none
    stopped_task_retention: float = 3600.0  # STOPPED tasks stay describable
    inactive_retention: float = 3600.0  # INACTIVE services, clusters, instances (ours: unpublished)
    service_deployment_retention: float = 90 * 86400.0  # ended service deployments stay describable
    deregistration_delay: float = 300.0
    placement_retry: float = 60.0  # ours: a service's blocked placement is tried again at least this often
    rebalance_after: float = 30.0  # ours: a service is steady that long before its zones are rebalanced
    provisioning_timeout: float = 1800.0  # waiting for capacity; AWS says between 10 and 30 minutes
    scale_out_after: float = 5.0  # ours: tasks that wait together count together; ECS looks once a minute
    scale_in_after: float = 900.0  # 15 readings of a minute below the target
    drain_limit: float = 172800.0  # an instance's managed draining, as long as a lifecycle hook may last
    launch_throttle_base: float = 10.0  # ours: first delay after repeated launch failures (curve unpublished)
    launch_throttle_max: float = 900.0
    event_repeat: float = 21600.0  # an identical service event is said again after 6 h
    time_scale: float = 1.0

    def scaled(self, factor: float) -> Timing:
        """The same waits, ``factor`` times shorter."""
        shorter = {f.name: getattr(self, f.name) / factor for f in fields(self) if f.name != "time_scale"}
        return replace(self, **shorter, time_scale=self.time_scale * factor)

    def wait(self, seconds: float) -> float:
        """A wait given by the user (health interval, deregistration delay …), at this scale."""
        return seconds / self.time_scale


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """A container instance to make: what ``instance add`` and ``up --instances`` say of each."""

    cluster: str = "default"
    type: str = "t3.medium"
    zone: str | None = None  # None: the region's zones in turn
    attributes: tuple[tuple[str, str], ...] = ()
    instance_id: str = ""  # an Auto Scaling group's instance has one before it has a machine
    group_arn: str = ""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything that ``up`` decides; written to the data folder, read by the processes it starts."""

    data_dir: str
    runtime: str = "docker"  # docker simulated
    bind: str = "127.0.0.1"
    port: int = 4566
    account: str = "000000000000"
    region: str = "us-east-1"
    cluster: str = "default"
    instances: int = 3
    instance_type: str = "t3.medium"
    zones: int = 3
    autoscale: str = ""  # MIN:MAX, sizes of the Auto Scaling group that is there instead of `instances`
    time_scale: float = 1.0
    launch_throttle: str = "10:900"  # FIRST:MOST seconds between launches that fail, before they are scaled
    strict: bool = False
    durability: str = "normal"  # normal full
    allow_hosts: tuple[str, ...] = ()
    allow_privileged: bool = False
    engine: str = ""  # where the Docker engine of this machine's own agent was found, as a URL
    owner: str = ""  # of what this cluster has on engines: 12 hex digits, made at the first `up`
    join_access_key: str = ""  # what agents on other machines sign with; without it none can join
    join_secret: str = ""

    @property
    def endpoint(self) -> str:
        """Where the server is reached from this machine."""
        host = "127.0.0.1" if self.bind in ("0.0.0.0", "::") else self.bind
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def timing(self) -> Timing:
        """The waits of the cluster: ECS's and those that were asked for, at its scale."""
        first, most = throttle_delays(self.launch_throttle)
        usual = Timing(launch_throttle_base=first, launch_throttle_max=most)
        return usual.scaled(self.time_scale)


def group_sizes(text: str) -> tuple[int, int]:
    """MIN and MAX of ``MIN:MAX``. Raises ValueError for another text."""
    least, most = (int(part) for part in text.split(":"))
    return least, most


def throttle_delays(text: str) -> tuple[float, float]:
    """FIRST and MOST of ``FIRST:MOST``. Raises ValueError for another text."""
    first, most = (float(part) for part in text.split(":"))
    return first, most
