"""Follows the store of a world that is played, and writes down what becomes of tasks and deployments.

Commit by commit, because between two samples a task can start and be lost again.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from miniecs.model import arns
from miniecs.model.autoscaling import AutoScalingGroup, GroupInstance
from miniecs.model.event import PLACED, Event, EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Deployment, Service
from miniecs.model.task import Task
from miniecs.scenarios.recording import DeploymentRecord, Happening, Mark, Recording, TaskRecord
from miniecs.sim import World
from miniecs.store import Change, Commit

_ID = re.compile(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}\b")
_CELL = re.compile(r"( +)(HOST|[0-9a-f]{8}) {2,}(?=\S)")  # the first one of a row in a placement's table
_KINDS = {EventKind.SERVICE_MESSAGE: "service", EventKind.DECISION: "decision"}


class Watcher:
    """Fills a recording. ``reserved``: container instance -> CPU units, MiB and number of the tasks on it."""

    def __init__(self, world: World, recording: Recording) -> None:
        self.recording = recording
        self._world = world
        self.tasks: dict[str, TaskRecord] = {}
        self.reserved: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.loose: Counter[str] = Counter()  # lastStatus -> tasks of no service
        self.names: dict[str, str] = {}  # container instance id, and its first 8 digits -> name of the host
        self._launched: Counter[str] = Counter()  # hosts that an Auto Scaling group has had
        self._expected: dict[str, str] = {}  # EC2 instance id -> name of the host
        self.begun = world.now  # the story's beginning, set when all hosts are there
        self._deployments: dict[str, DeploymentRecord] = {}
        world.store.subscribe(self._on_commit)

    def expect(self, ec2_instance_id: str, name: str) -> None:
        """What a machine is called in the scenario, before it has registered."""
        self._expected[ec2_instance_id] = name

    def readable(self, text: str) -> str:
        """Hosts by their names, tasks by the first digits of their ids."""
        return _ID.sub(lambda found: self.names.get(found[0], found[0][:8]), text)

    def readable_lines(self, lines: Sequence[str]) -> list[str]:
        """The same for lines among which may be a table whose first column is of hosts."""
        rows = list(map(_CELL.match, lines))
        width = max((len(self.readable(row[2])) for row in rows if row), default=0)
        told = []
        for line, row in zip(lines, rows, strict=True):
            if row:
                line = f"{row[1]}{self.readable(row[2]):{width}}  {line[row.end() :]}"
            told.append(self.readable(line))
        return told

    def _on_commit(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind is Task:
                self._task_changed(change.before, change.after)
            elif change.kind is Service:
                self._service_changed(change)
            elif change.kind is ContainerInstance and change.before is None:
                self._registered(change.after)
        for event in commit.events:
            self._tell(event)

    def _registered(self, instance: ContainerInstance) -> None:
        id = arns.name_of(instance.arn)
        name = self._expected.get(instance.ec2_instance_id or "") or self._of_group(instance) or id[:8]
        self.names[id] = self.names[id[:8]] = name

    def _of_group(self, instance: ContainerInstance) -> str:
        """A host of an Auto Scaling group is called like it, with a number."""
        member = self._world.store.get(GroupInstance, instance.ec2_instance_id or "")
        group = self._world.store.get(AutoScalingGroup, member.group_arn) if member is not None else None
        if group is None:
            return ""
        self._launched[group.name] += 1
        return f"{group.name}-{self._launched[group.name]}"

    # Tasks

    def _task_changed(self, before: Task | None, after: Task | None) -> None:
        for task, sign in ((before, -1), (after, 1)):
            if task is not None and not task.is_stopped:
                self._count(task, sign)
        if after is None:
            return
        record = self.tasks.get(after.arn)
        if record is None:
            record = self.tasks[after.arn] = self._new(after)
            self.recording.tasks.append(record)
        record.zone = after.availability_zone or record.zone
        if after.container_instance_arn is not None and not record.host:
            record.host = self.names.get(arns.name_of(after.container_instance_arn), "")
        if after.started_at is not None and record.running_at is None:
            record.running_at = after.started_at - self.begun
        if after.is_stopped and record.stopped_at is None:
            record.stopped_at = (after.stopped_at or 0.0) - self.begun
            record.stop_code, record.stopped_reason = after.stop_code or "", after.stopped_reason or ""
            record.exit_code = next((c.exit_code for c in after.containers if c.exit_code is not None), None)

    def _count(self, task: Task, sign: int) -> None:
        if task.container_instance_arn is not None:
            reserved = self.reserved[task.container_instance_arn]
            reserved[0] += sign * task.reserved_cpu
            reserved[1] += sign * task.reserved_memory
            reserved[2] += sign
        if task.service_arn is None:
            self.loose[task.last_status] += sign

    def _new(self, task: Task) -> TaskRecord:
        definition = arns.name_of(task.task_definition_arn)
        of_service = task.service_arn is not None
        at = task.created_at - self.begun
        return TaskRecord(
            id=arns.name_of(task.arn),
            definition=definition,
            owner=arns.name_of(task.service_arn or "") if of_service else definition.split(":")[0],
            of_service=of_service,
            asked_at=at,
            created_at=at,
        )

    # Services

    def _service_changed(self, change: Change) -> None:
        before: Service | None = change.before
        after: Service | None = change.after
        there = {each.id: each for each in after.deployments} if after is not None else {}
        for each in before.deployments if before is not None else ():
            gone = self._deployments.get(each.id)
            if each.id not in there and gone is not None and gone.ended_at is None:
                self._end(gone, "REPLACED")
        if after is not None:
            for deployment in reversed(after.deployments):
                self._deployment_changed(after.name, deployment)

    def _deployment_changed(self, service: str, deployment: Deployment) -> None:
        record = self._deployments.get(deployment.id)
        if record is None or (record.ended_at is not None and deployment.rollout_state == "IN_PROGRESS"):
            at = deployment.created_at if record is None else deployment.updated_at  # rolled back to it
            definition = arns.name_of(deployment.revision.task_definition_arn)
            record = DeploymentRecord(deployment.id, service, definition, at - self.begun)
            self._deployments[deployment.id] = record
            self.recording.deployments.append(record)
        record.failed_tasks = deployment.failed_tasks
        if record.ended_at is None and deployment.rollout_state != "IN_PROGRESS":
            self._end(record, deployment.rollout_state, at=deployment.updated_at)

    def _end(self, record: DeploymentRecord, state: str, at: float | None = None) -> None:
        record.state = state
        record.ended_at = (at if at is not None else self._world.now) - self.begun
        if record.begun_at > 0 and state != "REPLACED":
            text = f"{record.definition} {state.lower()}"
            self.recording.marks.append(Mark(record.ended_at, text, "deployment"))

    # Events

    def _tell(self, event: Event) -> None:
        if event.kind is EventKind.SERVICE_ACTION and event.name == "SERVICE_TASK_PLACEMENT_FAILURE":
            reasons = self.recording.unplaced.setdefault(arns.name_of(event.resource), Counter())
            reasons[event.reason] += 1
        if event.kind in _KINDS and event.name != PLACED:  # what was placed, service messages say
            self.recording.happenings.append(
                Happening(
                    event.at - self.begun,
                    _KINDS[event.kind],
                    arns.name_of(event.resource),
                    self.readable(event.message),
                    self.readable(event.because),
                )
            )
