"""What the users of a random cluster do: each step something that AWS may refuse, as things change."""

from __future__ import annotations

from collections.abc import Callable

from miniecs.model.instance import ContainerInstance
from miniecs.sim import grouped
from miniecs.sim.choices import Choices
from miniecs.sim.kinds import BAD_IMAGES, GOOD_IMAGE, Kind
from miniecs.sim.services import Services
from miniecs.sim.world import World


class Users:
    """They change their minds, and wait for nothing but a control plane that answers."""

    def __init__(self, world: World, choices: Choices, services: Services) -> None:
        self._world = world
        self._choices = choices
        self._services = services

    def act(self) -> None:
        """Something that a user does; AWS may refuse it, as things change."""
        self._do_one_of(
            self._scale,
            self._scale,
            self._force_deployment,
            self._stop_deployment,
            self._set_alarm,
            self.drain,
            self.drain,
            self.undrain,
            self._run_task,
            self._stop_task,
            self.protect,
            self._delete_service,
        )

    def deploy(self) -> None:
        self._do_one_of(self._deploy_good, self._deploy_good, self._deploy_bad)

    def _do_one_of(self, *steps: Callable[[], None]) -> None:
        self._world.run_until(lambda: self._world.is_up, limit=120.0)
        step = steps[self._choices.number(len(steps))]
        self._world.attempt(step)

    def _deploy_good(self) -> None:
        kind = self._services.any()
        if kind is not None:
            self._services.update(kind, taskDefinition=self._services.register(kind, GOOD_IMAGE))

    def _deploy_bad(self) -> None:
        kind = self._services.any()
        if kind is not None:
            image = self._choices.one(BAD_IMAGES)
            self._services.update(kind, taskDefinition=self._services.register(kind, image))

    def _scale(self) -> None:
        kind = self._services.any()
        if kind is not None and kind.service.get("schedulingStrategy") != "DAEMON":
            self._services.update(kind, desiredCount=self._choices.number(8))

    def _force_deployment(self) -> None:
        kind = self._services.any()
        if kind is not None:
            self._services.update(kind, forceNewDeployment=True)

    def _stop_deployment(self) -> None:
        """Of the service whose deployment began last, if it is under way yet."""
        found = [
            each
            for kind in self._services.by_name
            for each in self._world.ecs("ListServiceDeployments", service=kind)["serviceDeployments"]
        ]
        if found:
            newest = max(found, key=lambda each: float(each["createdAt"]))
            how = self._choices.one(("ROLLBACK", "ABORT"))
            self._world.ecs(
                "StopServiceDeployment", serviceDeploymentArn=newest["serviceDeploymentArn"], stopType=how
            )

    def _set_alarm(self) -> None:
        self._services.set_alarms(self._choices.one(("ALARM", "OK")))

    def drain(self) -> None:
        """A zone, or some of all."""
        hosts = self._world.hosts()
        if self._choices.number(3):
            zone = self._choices.one(self._world.zones)
            hosts = [host for host in hosts if host.facts.zone == zone]
        else:
            hosts = self._choices.some(hosts, 1 + self._choices.number(3))
        self._set_state([host.arn for host in hosts if host.arn], "DRAINING")

    def undrain(self) -> None:
        draining = [
            instance.arn
            for instance in self._world.store.find(ContainerInstance, "cluster", self._world.cluster_arn)
            if instance.status == "DRAINING"
        ]
        self._set_state(draining, "ACTIVE")

    def _set_state(self, arns: list[str], status: str) -> None:
        """Of ten at a time: a call takes no more."""
        for start in range(0, len(arns), 10):
            part = arns[start : start + 10]
            self._world.ecs("UpdateContainerInstancesState", containerInstances=part, status=status)

    def _run_task(self) -> None:
        if grouped.is_grouped(self._world.seed) and self._choices.number(3):
            grouped.run_tasks(self._world, self._choices)
            return
        image = self._choices.one((GOOD_IMAGE, "sim/exit-0-after-20", "sim/exit-3"))
        definition = self._services.register(Kind("once"), image)
        self._world.ecs("RunTask", taskDefinition=definition, count=1 + self._choices.number(4))

    def _stop_task(self) -> None:
        tasks = [task for task in self._world.tasks() if task.wanted]
        if tasks:
            self._world.ecs("StopTask", task=self._choices.one(tasks).arn, reason="enough")

    def protect(self) -> None:
        """Half of what a service runs, for less than a scenario's rest at the end."""
        running = [t.arn for t in self._world.tasks("RUNNING") if t.wanted and t.service_arn is not None]
        chosen = self._choices.some(running, min(10, len(running) // 2))
        if chosen:
            self._world.ecs(
                "UpdateTaskProtection",
                cluster=self._world.cluster_arn,
                tasks=chosen,
                protectionEnabled=True,
                expiresInMinutes=1 + self._choices.number(4),
            )

    def _delete_service(self) -> None:
        if len(self._services.by_name) > 3:
            kind = self._services.any()
            assert kind is not None
            self._world.ecs("DeleteService", service=kind.name, force=True)
            del self._services.by_name[kind.name]
