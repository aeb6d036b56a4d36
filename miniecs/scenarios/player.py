"""Plays a story in a simulated world: real operations, loops, scheduler and agents, on a clock that jumps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from miniecs.control.explain import explain_service
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.scenarios.acts import ACTS
from miniecs.scenarios.document import Place
from miniecs.scenarios.recording import Recording
from miniecs.scenarios.sampler import Sampler
from miniecs.scenarios.stage import NotYet, Stage
from miniecs.scenarios.story import Step, Story
from miniecs.scenarios.watcher import Watcher
from miniecs.sim import World
from miniecs.sim.world import ControlPlaneDown
from miniecs_api.wire.errors import AwsError

_SAMPLES = 1200  # of one run, at most about so many
_JOINED_WITHIN = 120.0  # seconds, for the first hosts
_AGAIN = 1.0  # seconds after which someone who found ECS away, or a host not yet there, tries again

Progress = Callable[[float], None]
"""Told from time to time how many seconds have been played."""
Look = Callable[[Stage], None]


class Player:
    """One run of a story, from when its first hosts have joined."""

    def __init__(self, story: Story, progress: Progress = lambda at: None) -> None:
        self._story = story
        self._progress = progress
        self._world = World(story.seed, hosts=0, checked=False)
        self.recording = Recording(story.title, story.variant, story.seed)
        watcher = Watcher(self._world, self.recording)
        self.stage = Stage(self._world, watcher, story)
        self._join()
        self._begun = watcher.begun = self._world.now
        self._sampler = Sampler(self._world, watcher, self._begun)
        self._last = max((step.at for step in story.steps), default=0.0)

    def play(self, *, looks: Sequence[float] = (), look: Look = lambda stage: None) -> Recording:
        """Play it to its end, and look at it at some moments, in seconds. Raises Mistake."""
        world, story = self._world, self._story
        self._set_up()
        for step in story.steps:
            world.timeline.call_at(self._begun + step.at, partial(self._act, step))
        for moment in looks:
            world.timeline.call_at(self._begun + moment, partial(look, self.stage))
        every = max(1.0, story.duration / _SAMPLES)
        at = 0.0
        self._sample()
        while at < story.duration and not self._has_ended(at):
            at = min(at + every, story.duration)
            world.run(until=self._begun + at)
            self._sample()
            self._progress(at)
        self.recording.duration = at
        self.recording.happenings.sort(key=lambda each: each.at)
        self.recording.marks.sort(key=lambda each: each.at)
        self.recording.stuck = self._stuck()
        return self.recording

    def _join(self) -> None:
        for plan in self._story.hosts:
            self.stage.add_host(plan)
        for group in self._story.groups:
            self._refusable(group.place, partial(self.stage.add_group, group))
        world = self._world
        if self._story.groups:
            place = ("defaultCapacityProviderStrategy",)
            self._refusable(
                place,
                partial(
                    world.ecs,
                    "PutClusterCapacityProviders",
                    cluster=world.cluster,
                    capacityProviders=[group.spec.name for group in self._story.groups],
                    defaultCapacityProviderStrategy=self._story.default_strategy,
                ),
            )
        wanted = len(self._story.hosts) + sum(group.spec.min_size for group in self._story.groups)
        longest = max((group.spec.launch_time for group in self._story.groups), default=0.0)

        def are_there() -> bool:
            found = world.store.find(ContainerInstance, "cluster", world.cluster_arn)
            return sum(1 for each in found if each.agent_connected) == wanted

        if not world.run_until(are_there, _JOINED_WITHIN + longest):
            raise RuntimeError(f"{wanted} simulated hosts did not join within {_JOINED_WITHIN + longest:g} s")

    def _set_up(self) -> None:
        for index, params in enumerate(self._story.definitions.values()):
            place: Place = ("taskDefinitions", index)
            self._refusable(place, partial(self._world.ecs, "RegisterTaskDefinition", **params))
        for index, spec in enumerate(self._story.target_groups):
            self._refusable(("targetGroups", index), partial(self.stage.add_target_group, spec))
        for place, params in self._story.services:
            params = self.stage.resolved(params)
            self._refusable(place, partial(self._world.ecs, "CreateService", **params))

    def _act(self, step: Step) -> None:
        try:
            self._refusable(step.place, partial(ACTS[step.kind], self.stage, step))
        except (ControlPlaneDown, NotYet):
            self._world.timeline.call_at(self._world.now + _AGAIN, partial(self._act, step))

    def _refusable(self, place: Place, do: Callable[[], object]) -> None:
        try:
            do()
        except AwsError as refused:
            hint = f" ({refused.hint})" if refused.hint else ""
            raise self._story.document.mistake(place, f"ECS refuses it: {refused}{hint}") from None

    def _sample(self) -> None:
        self.recording.samples.append(self._sampler.sample(self.stage.waiting))

    def _has_ended(self, at: float) -> bool:
        """Whether everything has happened and is as wanted, where that is to be the end."""
        if not self._story.until_steady or at <= self._last or self.stage.waiting:
            return False
        sample = self.recording.samples[-1]
        services = list(self._world.store.all(Service))
        return not sample.loose_pending and all(
            service.steady for service in services if service.status == "ACTIVE"
        )

    def _stuck(self) -> dict[str, list[str]]:
        """Why services are not steady, in the words of `miniecs explain`."""
        world = self._world
        return {
            service.name: self.stage.watcher.readable_lines(
                explain_service(world.store, service, now=world.now, timing=world.timing)
            )
            for service in world.store.all(Service)
            if service.status == "ACTIVE" and not service.steady
        }
