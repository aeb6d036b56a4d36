"""Says in numbers how a world that is played stands, with the counts that control itself takes."""

from __future__ import annotations

from collections import Counter

from miniecs.control import capacity, census, deployments, managed_scaling
from miniecs.control.census import Census
from miniecs.model import arns
from miniecs.model.cluster import CapacityProvider
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.scenarios.recording import ProviderSample, RevisionSample, Sample, ServiceSample, ZoneSample
from miniecs.scenarios.watcher import Watcher
from miniecs.sim import World


class Sampler:
    """Samples of one world. What did not change since the last one is not counted again."""

    def __init__(self, world: World, watcher: Watcher, begun: float) -> None:
        self._world = world
        self._watcher = watcher
        self._begun = begun
        self._seen: tuple[int, int] = (-1, -1)  # the store's commits, hosts that are alive
        self._until = 0.0  # when the clock alone changes a count
        self._services: dict[str, ServiceSample] = {}
        self._zones: dict[str, ZoneSample] = {}
        self._providers: dict[str, ProviderSample] = {}

    def sample(self, waiting: int) -> Sample:
        now = self._world.now
        alive = {host.arn for host in self._world.hosts()}
        seen = (self._world.store.seq, len(alive))
        if seen != self._seen or now >= self._until:
            self._seen, self._until = seen, float("inf")
            self._zones = self._take_zones(alive)
            self._providers = self._take_providers(alive)
            self._services = {
                service.name: self._take_service(service, alive)
                for service in self._world.store.all(Service)
                if service.status == "ACTIVE" and service.deployments
            }
        loose = self._watcher.loose
        return Sample(
            now - self._begun,
            self._services,
            self._zones,
            loose_pending=loose["PENDING"] + loose["PROVISIONING"] + loose["ACTIVATING"],
            loose_running=loose["RUNNING"],
            waiting=waiting,
            providers=self._providers,
        )

    def _take_providers(self, alive: set[str]) -> dict[str, ProviderSample]:
        """As managed scaling sees them at this moment."""
        world = self._world
        found: dict[str, ProviderSample] = {}
        for provider in world.store.find(CapacityProvider, "scope", world.scope):
            seen = managed_scaling.see(world.store, provider, world.cluster_arn, timing=world.timing)
            if seen.group is None:
                continue
            there = [capacity.registration(world.store, seen.group, m.instance_id) for m in seen.members]
            found[provider.name] = ProviderSample(
                hosts=sum(instance is not None and instance.arn in alive for instance in there),
                desired=seen.group.desired_capacity,
                waiting=len(seen.waiting),
                reservation=seen.reservation.percent,
                target=seen.target,
            )
        return found

    def _take_zones(self, alive: set[str]) -> dict[str, ZoneSample]:
        found: dict[str, ZoneSample] = {}
        for instance in self._world.store.find(ContainerInstance, "cluster", self._world.cluster_arn):
            if instance.status == "INACTIVE" or instance.arn not in alive:
                continue
            zone = instance.availability_zone or ""
            before = found.get(zone, ZoneSample())
            cpu, memory, tasks = self._watcher.reserved[instance.arn]
            found[zone] = ZoneSample(
                before.hosts + 1,
                before.cpu + instance.cpu,
                before.memory + instance.memory,
                before.cpu_reserved + cpu,
                before.memory_reserved + memory,
                before.used + bool(tasks),
                before.tasks + tasks,
            )
        return dict(sorted(found.items()))

    def _take_service(self, service: Service, alive: set[str]) -> ServiceSample:
        world = self._world
        counted = census.take(world.store, service, now=world.now, timing=world.timing)
        if counted.wake_at is not None:
            self._until = min(self._until, counted.wake_at)
        floor, _ = deployments.bounds(service.desired_count, service.deployment_configuration)
        working = 0
        for cohort in counted.cohorts:
            for tasks in (cohort.settling, cohort.healthy, cohort.unhealthy, cohort.leaving):
                working += sum(1 for task in tasks if task.container_instance_arn in alive)
        blocked = any(each.blocked_until > world.now for each in service.deployments)
        if blocked:
            self._until = min(self._until, max(each.blocked_until for each in service.deployments))
        return ServiceSample(
            desired=service.desired_count,
            floor=floor,
            pending=sum(len(cohort.pending) + len(cohort.evicted) for cohort in counted.cohorts),
            running=counted.running,
            healthy=counted.serving,
            working=working,
            blocked=blocked,
            revisions=_revisions(counted),
        )


def _revisions(counted: Census) -> dict[str, RevisionSample]:
    stopping = Counter(arns.name_of(task.task_definition_arn) for task in counted.stopping)
    found: dict[str, RevisionSample] = {}
    for cohort in counted.cohorts:
        name = arns.name_of(cohort.deployment.revision.task_definition_arn)
        before = found.get(name, RevisionSample())
        found[name] = RevisionSample(
            before.starting + len(cohort.pending) + len(cohort.evicted) + len(cohort.settling),
            before.healthy + cohort.serving,
            before.unhealthy + len(cohort.unhealthy) + len(cohort.leaving) - len(cohort.leaving_healthy),
            stopping.pop(name, before.stopping),
        )
    for name, count in stopping.items():
        found[name] = RevisionSample(stopping=count)
    return found
