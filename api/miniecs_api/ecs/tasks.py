"""Tasks: RunTask, StartTask, StopTask, and looking at them.

RunTask must answer at once, so it places within its own transaction, through the same
pure functions that the service loop uses; what happens to the task then is the
reconciler's and the agent's.
"""

from __future__ import annotations

from typing import Any

from miniecs.apply import keep_decision, keep_failure, write_task
from miniecs.control import capacity, messages
from miniecs.control.interfaces import Chooser, subnets_of
from miniecs.control.launch import LaunchSpec, launched_task, new_task, placement_request
from miniecs.control.stopping import stop
from miniecs.model import arns, fargate
from miniecs.model.cluster import Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.scope import Tag
from miniecs.model.service import PlacementConstraint, PlacementStrategy, Service
from miniecs.model.task import PlacementRules, Task
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.context import Context
from miniecs_api.ecs import client_tokens, launch_params, networks, resolve, volume_params
from miniecs_api.ecs.launch_params import Launch, invalid
from miniecs_api.ecs.listing import ecs_page
from miniecs_api.ecs.render_task import render_task
from miniecs_api.ecs.tagging import to_tags
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError
from miniecs_scheduler import Decision, Rejection, decide

_RUN_LIMIT = 10
_DESCRIBE_LIMIT = 100
_STARTED_BY_LIMIT = 128
_GROUP_LIMIT = 255
_TOKEN_LIMIT = 64


@operation
def run_task(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Place up to ten tasks now; what cannot be placed comes back as failures, with HTTP 200."""
    cluster = resolve.cluster(ctx, params)
    repeated = _repeated_call(ctx, cluster, params)
    if repeated is not None:
        return repeated
    count = params.get("count", 1)
    if not 1 <= count <= _RUN_LIMIT:
        raise invalid(f"Count must be between 1 and {_RUN_LIMIT}.")
    definition = _definition(ctx, params)
    launch = launch_params.launch(ctx, params, cluster, definition)
    spec = _launch_spec(ctx, params, cluster, definition, launch)
    constraints = launch_params.placement_constraints(ctx, params, spec.definition)
    strategies = launch_params.placement_strategy(params)
    subnets = _subnets(ctx, spec)
    rules = PlacementRules(constraints, strategies)
    tasks: list[Task] = []
    failures: list[dict[str, Any]] = []
    shares = [(spec, count)]
    if launch.strategy:
        given = capacity.shares(launch.strategy, count, {})
        shares = [(spec.on(provider), number) for provider, number in given.items()]
    for share, number in shares:
        started, refused = _run_share(ctx, share, number, rules, subnets)
        tasks += started
        failures += refused
    client_tokens.remember(ctx, cluster, "RunTask", params, tuple(task.arn for task in tasks))
    return {"tasks": [render_task(ctx, task, tags=True) for task in tasks], "failures": failures}


def _run_share(
    ctx: Context, spec: LaunchSpec, count: int, rules: PlacementRules, subnets: Chooser
) -> tuple[list[Task], list[dict[str, Any]]]:
    """Tasks that are launched alike, and the failures of those that are not."""
    if spec.launch_type == fargate.LAUNCH_TYPE:
        return [_start(ctx, spec, None, subnets, "RunTask was called") for _ in range(count)], []
    instances, waits = _capacity(ctx, spec)
    near: frozenset[str] | None = None
    if spec.capacity_provider_name is not None:
        near = frozenset(instance.arn for instance in instances)
    if spec.network_configuration:
        near = subnets.hosts(instances)
    decision = _place(ctx, spec, count, rules.constraints, rules.strategy, only_hosts=near)
    tasks = [
        _start(ctx, spec, placement.host, subnets, placement.because) for placement in decision.placements
    ]
    if decision.suggestion:
        ctx.hint(messages.advice(decision))
    if decision.unplaced and waits:
        waiting = _wait(ctx, spec, decision.unplaced, rules)
        if tasks:
            _keep(ctx, spec.cluster, decision, tasks, "RunTask was called")
        else:
            keep_failure(ctx.tx, waiting[0].arn, decision, now=ctx.now)
        return [*tasks, *waiting], []
    _keep(ctx, spec.cluster, decision, tasks, "RunTask was called")
    failures = [_failure(rejection) for rejection in decision.rejections]
    if decision.unplaced and near is not None and spec.network_configuration:
        failures += [_elsewhere(i) for i in instances if i.status == "ACTIVE" and i.arn not in near]
    return tasks, failures


def _capacity(ctx: Context, spec: LaunchSpec) -> tuple[list[ContainerInstance], bool]:
    """The instances that a launch may use, where they matter, and whether tasks may wait for more."""
    name, cluster = spec.capacity_provider_name, spec.cluster
    if name is None:
        if not ctx.tx.count(ContainerInstance, "registered", cluster.arn):
            raise invalid("No Container Instances were found in your cluster.")
        found: list[ContainerInstance] = (
            ctx.tx.find(ContainerInstance, "cluster", cluster.arn) if spec.network_configuration else []
        )
        return found, False
    provider = capacity.named(ctx.tx, cluster.arn, name)
    waits = provider is not None and bool(capacity.managed_scaling(provider))
    instances = capacity.hosts(ctx.tx, cluster.arn, name)
    if not instances and not waits:
        raise invalid("No Container Instances were found in your capacity provider.")
    return instances, waits


def _wait(ctx: Context, spec: LaunchSpec, count: int, rules: PlacementRules) -> list[Task]:
    """Tasks that wait in PROVISIONING for their capacity provider's instances."""
    if count > capacity.room_to_wait(ctx.tx, spec.cluster):
        raise AwsError(
            "ClientException",
            "Tasks provisioning capacity limit exceeded.",
            hint=f"At most {capacity.MOST_PROVISIONING} tasks of a cluster may wait for capacity.",
        )
    provider = spec.capacity_provider_name
    because = f"RunTask was called; no instance of capacity provider {provider} takes it yet"
    tasks = []
    for _ in range(count):
        task = new_task(spec, now=ctx.now, ids=ctx.ids, instance=None, placement=rules, because=because)
        tasks.append(write_task(ctx.tx, None, task, now=ctx.now, because=because))
    return tasks


@operation
def start_task(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Start on the named instances, without strategy or constraint; what does not fit there fails."""
    cluster = resolve.cluster(ctx, params)
    wanted = params["containerInstances"]
    if not wanted:
        raise invalid("Container instances cannot be empty.")
    if len(wanted) > _RUN_LIMIT:
        raise invalid(f"A maximum of {_RUN_LIMIT} container instances can be given.")
    definition = _definition(ctx, params)
    launch_params.launch_type(params, "EC2", definition)
    spec = _launch_spec(ctx, params, cluster, definition, Launch("EC2", (), "EC2"))
    subnets = _subnets(ctx, spec)
    tasks: list[Task] = []
    failures: list[dict[str, Any]] = []
    for text in dict.fromkeys(wanted):
        instance = resolve.find_instance(ctx, cluster, text)
        if instance is None:
            arn = text if text.startswith("arn:") else arns.container_instance(ctx.scope, cluster.name, text)
            failures.append({"arn": arn, "reason": "MISSING"})
            continue
        if instance.status != "ACTIVE":
            failures.append({"arn": instance.arn, "reason": "INACTIVE"})
            continue
        if spec.network_configuration and not subnets.hosts([instance]):
            failures.append(_elsewhere(instance))
            continue
        decision = _place(ctx, spec, 1, (), (), only_hosts=frozenset({instance.arn}))
        failures.extend(_failure(rejection) for rejection in decision.rejections)
        if decision.suggestion:
            ctx.hint(messages.advice(decision))
        because = "StartTask named this container instance"
        started = [_start(ctx, spec, each.host, subnets, because) for each in decision.placements]
        _keep(ctx, cluster, decision, started, "StartTask was called")
        tasks.extend(started)
    return {"tasks": [render_task(ctx, task, tags=True) for task in tasks], "failures": failures}


@operation
def stop_task(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Mark the task as to be stopped; it answers with the task as it is, mostly still RUNNING."""
    cluster = resolve.cluster(ctx, params)
    task = resolve.find_task(ctx, cluster, params["task"])
    if task is None:
        raise invalid("The referenced task was not found.")
    reason = params.get("reason") or "Task stopped by user"
    stopped = stop(task, now=ctx.now, code="UserInitiated", reason=reason)
    if stopped is not task:
        write_task(ctx.tx, task, stopped, now=ctx.now, because="StopTask was called")
    return {"task": render_task(ctx, stopped)}


@read_operation
def describe_tasks(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    cluster = resolve.cluster(ctx, params)
    wanted = params["tasks"]
    if not wanted:
        raise invalid("Tasks cannot be empty.")
    if len(wanted) > _DESCRIBE_LIMIT:
        raise invalid(f"Tasks must have at most {_DESCRIBE_LIMIT} members.")
    tags = "TAGS" in params.get("include", [])
    tasks, failures = [], []
    for text in dict.fromkeys(wanted):
        task = resolve.find_task(ctx, cluster, text)
        if task is None:
            arn = text if text.startswith("arn:") else arns.task(ctx.scope, cluster.name, text)
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            tasks.append(render_task(ctx, task, tags=tags))
    return {"tasks": tasks, "failures": failures}


@read_operation
def list_tasks(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ARNs of tasks that match every filter; desiredStatus is RUNNING unless given."""
    cluster = resolve.cluster(ctx, params)
    if params.get("daemonName"):
        # The operation's model has no UnsupportedFeatureException.
        raise AwsError("InvalidParameterException", "Daemons are not supported by miniecs yet.")
    if params.get("startedBy") and any(
        params.get(other) for other in ("containerInstance", "family", "serviceName")
    ):
        raise invalid("startedBy cannot be combined with other filters.")
    status = params.get("desiredStatus", "RUNNING")
    candidates = _candidates(ctx, cluster, params)
    family = params.get("family")
    started_by = params.get("startedBy")
    launch_type = params.get("launchType")
    listed = sorted(
        task.arn
        for task in candidates
        if task.desired_status == status
        and (launch_type is None or task.launch_type == launch_type)
        and (started_by is None or task.started_by == started_by)
        and (family is None or _family(task) == family)
    )
    return ecs_page(listed, params, "taskArns")


def _candidates(ctx: Context, cluster: Cluster, params: dict[str, Any]) -> list[Task]:
    tasks: list[Task] = ctx.tx.find(Task, "cluster", cluster.arn)
    if params.get("serviceName"):
        service: Service | None = resolve.find_service(ctx, cluster, params["serviceName"])
        if service is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        tasks = [task for task in tasks if task.service_arn == service.arn]
    if params.get("containerInstance"):
        instance = resolve.find_instance(ctx, cluster, params["containerInstance"])
        if instance is None:
            raise invalid("The referenced container instance was not found.")
        tasks = [task for task in tasks if task.container_instance_arn == instance.arn]
    return tasks


def _family(task: Task) -> str:
    return arns.name_of(task.task_definition_arn).rsplit(":", 1)[0]


def _definition(ctx: Context, params: dict[str, Any]) -> TaskDefinition:
    return launch_params.task_definition(
        ctx, params["taskDefinition"], inactive_code="InvalidParameterException"
    )


def _launch_spec(
    ctx: Context, params: dict[str, Any], cluster: Cluster, definition: TaskDefinition, launch: Launch
) -> LaunchSpec:
    """Everything about the tasks to start but their host, checked."""
    launch_type = launch.runs_on
    started_by = params.get("startedBy")
    if started_by is not None and len(started_by) > _STARTED_BY_LIMIT:
        raise invalid(f"startedBy must have at most {_STARTED_BY_LIMIT} characters.")
    group = params.get("group") or f"family:{definition.family}"
    if len(group) > _GROUP_LIMIT:
        raise invalid(f"Group must have at most {_GROUP_LIMIT} characters.")
    if group.startswith("service:"):
        raise invalid("Invalid namespace for group.", "Groups that begin with service: belong to services.")
    propagate = params.get("propagateTags")
    if propagate == "SERVICE":
        raise invalid("propagateTags SERVICE is only valid for services.")
    managed = (Tag("aws:ecs:clusterName", cluster.name),) if params.get("enableECSManagedTags", False) else ()
    return LaunchSpec(
        cluster=cluster,
        definition=definition,
        group=group,
        started_by=started_by,
        launch_type=launch_type,
        platform_version=launch_params.platform_version(params, launch_type),
        network_configuration=networks.network_configuration(ctx, params, definition, launch_type),
        overrides=launch_params.overrides(params, definition, launch_type),
        tags=launch_params.propagated_tags(
            to_tags(params.get("tags", [])),
            definition.tags if propagate == "TASK_DEFINITION" else (),
            managed,
        ),
        enable_execute_command=params.get("enableExecuteCommand", False),
        volume_configurations=volume_params.volume_configurations(ctx, params, definition, launch_type),
    )


def _place(
    ctx: Context,
    spec: LaunchSpec,
    count: int,
    constraints: tuple[PlacementConstraint, ...],
    strategies: tuple[PlacementStrategy, ...],
    only_hosts: frozenset[str] | None = None,
) -> Decision:
    request = placement_request(
        spec.definition,
        overrides=spec.overrides,
        count=count,
        group=spec.group,
        constraints=constraints,
        strategies=strategies,
        seed=ctx.ids.number(2**32),
        only_hosts=only_hosts,
    )
    return decide(ctx.fleets.of(spec.cluster.arn), request)


def _keep(ctx: Context, cluster: Cluster, decision: Decision, tasks: list[Task], because: str) -> None:
    """What the tasks were placed by, once, with the first of them; where there are none, with the cluster."""
    if tasks:
        keep_decision(ctx.tx, tasks[0].arn, decision, now=ctx.now, because=because)
    elif decision.unplaced:
        keep_failure(ctx.tx, cluster.arn, decision, now=ctx.now)


def _subnets(ctx: Context, spec: LaunchSpec) -> Chooser:
    """Where the tasks' interfaces may be, each in turn."""
    subnets = subnets_of(ctx.tx, ctx.scope, spec.network_configuration)
    first = ctx.ids.number(len(subnets)) if subnets else 0
    return Chooser([*subnets[first:], *subnets[:first]])


def _start(
    ctx: Context, spec: LaunchSpec, instance_arn: str | None, subnets: Chooser, because: str
) -> Task:
    """instance_arn None: Fargate finds a machine."""
    instance = None
    if instance_arn is not None:
        instance = ctx.tx.get(ContainerInstance, instance_arn)
        if instance is None:
            raise RuntimeError(f"placed onto {instance_arn}, which does not exist")
    task = launched_task(
        spec, now=ctx.now, ids=ctx.ids, instance=instance, chooser=subnets, because=because
    )
    return write_task(ctx.tx, None, task, now=ctx.now, because=because)


def _elsewhere(instance: ContainerInstance) -> dict[str, Any]:
    """Source: ECS developer guide, "API failure reasons"."""
    zone = instance.availability_zone
    return {"arn": instance.arn, "reason": "LOCATION", "detail": f"none of the subnets is in {zone}"}


def _failure(rejection: Rejection) -> dict[str, Any]:
    return {"arn": rejection.host, "reason": rejection.reason, "detail": rejection.detail or None}


def _repeated_call(ctx: Context, cluster: Cluster, params: dict[str, Any]) -> dict[str, Any] | None:
    """The first answer's tasks, when this clientToken was used before with the same parameters."""
    token = params.get("clientToken")
    if token is None:
        return None
    if not token or len(token) > _TOKEN_LIMIT or any(not 33 <= ord(c) <= 126 for c in token):
        raise invalid(f"clientToken must have 1 to {_TOKEN_LIMIT} ASCII characters in the range of 33-126.")
    record = client_tokens.known(ctx, cluster, "RunTask", token)
    if record is None:
        return None
    if not client_tokens.is_same_call(record, params):
        raise AwsError(
            "ConflictException",
            "The RunTask request could not be processed due to conflicts. The provided clientToken is "
            "already in use with a different RunTask request.",
            fields={"resourceIds": list(record.resource_arns)},
        )
    known = [task for arn in record.resource_arns if (task := ctx.tx.get(Task, arn)) is not None]
    if not known:
        return None  # a token lives as long as its tasks are kept: their life and an hour, at most a day
    return {"tasks": [render_task(ctx, task, tags=True) for task in known], "failures": []}
