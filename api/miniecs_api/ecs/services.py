"""Services: what should run. The operations write the spec; the control loops make it so."""

from __future__ import annotations

from typing import Any

from miniecs.apply import write_begun, write_service
from miniecs.control import deployments, rebalancing, service_deployments, task_sets, version_consistency
from miniecs.control.rollout import begin, scale
from miniecs.model import arns, fargate
from miniecs.model.cluster import CapacityProviderStrategyItem, Cluster
from miniecs.model.frozen import replace
from miniecs.model.service import Revision, Service
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.model.task_set import DRAINING, PRIMARY
from miniecs_api.context import Context
from miniecs_api.ecs import (
    client_tokens,
    controllers,
    launch_params,
    networks,
    resolve,
    service_load_balancers,
    service_params,
    volume_params,
)
from miniecs_api.ecs.deployment_params import deployment_configuration
from miniecs_api.ecs.launch_params import Launch, invalid
from miniecs_api.ecs.listing import ecs_page
from miniecs_api.ecs.render_service import render_service
from miniecs_api.ecs.tagging import to_tags
from miniecs_api.ecs.task_definitions import find_task_definition
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError

_DESCRIBE_LIMIT = 10
_LIST_DEFAULT = 10
_NOT_IDEMPOTENT = "Creation of service was not idempotent."
# Fields that tell two CreateService calls of one name apart; the rest is made by ECS.
_SPEC = (
    "desired_count",
    "revision",
    "scheduling_strategy",
    "deployment_controller",
    "deployment_configuration",
    "placement_constraints",
    "placement_strategy",
    "health_check_grace_period",
    "role_arn",
    "enable_ecs_managed_tags",
    "propagate_tags",
    "enable_execute_command",
    "availability_zone_rebalancing",
    "tags",
)


@operation
def create_service(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Write the service with its first deployment. The same call again answers with what there is."""
    cluster = resolve.cluster(ctx, params)
    made = _made_before(ctx, cluster, params)
    if made is not None:
        return {"service": render_service(ctx, made, tags=True)}
    service = _new_service(ctx, params, cluster)
    existing = ctx.tx.get(Service, service.arn)
    if existing is not None and existing.status == "DRAINING":
        raise invalid("Unable to Start a service that is still Draining.")
    if existing is not None and existing.status == "ACTIVE":
        if differing := _differing(existing, service):
            raise invalid(
                _NOT_IDEMPOTENT,
                f"A service {existing.name} is there already and differs in {', '.join(differing)}; "
                "use UpdateService.",
            )
        return {"service": render_service(ctx, existing, tags=True)}
    because = "CreateService was called"
    client_tokens.remember(ctx, cluster, "CreateService", params, (service.arn,))
    _hint_at_deadlock(ctx, params, service)
    if service.deployment_controller != "ECS":
        write_service(ctx.tx, existing, service, now=ctx.now, because=because)
        if service.deployment_controller == "CODE_DEPLOY":
            ctx.tx.put(
                task_sets.created(
                    service, service.revision, 100.0, status=PRIMARY, now=ctx.now, ids=ctx.ids
                )
            )
        return {"service": render_service(ctx, service, tags=True)}
    definition = ctx.tx.get(TaskDefinition, service.revision.task_definition_arn)
    unresolved = version_consistency.to_resolve(service, definition)
    begun = begin(service, service.revision, unresolved=unresolved, now=ctx.now, ids=ctx.ids)
    write_begun(ctx.tx, existing, begun, now=ctx.now, because=because)
    return {"service": render_service(ctx, begun.service, tags=True)}


def _made_before(ctx: Context, cluster: Cluster, params: dict[str, Any]) -> Service | None:
    """What the same call made when it came first, whatever UpdateService has made of it since.

    The token counts as long as its service is there; ECS tells what differs in one way, whatever differs.
    """
    token = service_params.client_token(params)
    record = client_tokens.known(ctx, cluster, "CreateService", token)
    made = ctx.tx.get(Service, record.resource_arns[0]) if record is not None else None
    if record is None or made is None or made.status == "INACTIVE" or made.client_token != token:
        return None
    if not client_tokens.is_same_call(record, params):
        raise invalid(
            _NOT_IDEMPOTENT,
            f"This clientToken made service {made.name}, with other parameters; use another token for "
            "another service, or UpdateService.",
        )
    return made if made.status == "ACTIVE" else None


def _differing(existing: Service, asked: Service) -> list[str]:
    """The fields in which they differ; what an EXTERNAL service runs is its task sets' matter."""
    fields = [field for field in _SPEC if getattr(existing, field) != getattr(asked, field)]
    if existing.deployment_controller == asked.deployment_controller == "EXTERNAL":
        fields = [field for field in fields if field != "revision"]
    return fields


def _new_service(ctx: Context, params: dict[str, Any], cluster: Cluster) -> Service:
    """The checked service, without a deployment."""
    controller = controllers.of(params)
    strategy = params.get("schedulingStrategy", "REPLICA")
    controllers.check_new(params, controller, strategy)
    controllers.check_configuration(params, controller)
    service_params.refuse_unsupported(params)
    name = service_params.service_name(params)
    token = service_params.client_token(params)
    definition, revision = None, Revision("")
    if controller != "EXTERNAL":
        definition = _new_definition(ctx, params)
        service_params.check_execute_command(params.get("enableExecuteCommand", False), definition, "created")
        revision = _new_revision(ctx, params, cluster, definition, strategy)
    service = Service(
        arn=arns.service(ctx.scope, cluster.name, name),
        name=name,
        cluster_arn=cluster.arn,
        desired_count=service_params.desired_count(params, strategy, controller),
        revision=revision,
        scheduling_strategy=strategy,
        deployment_controller=controller,
        deployment_configuration=deployment_configuration(ctx, params, strategy),
        placement_constraints=launch_params.placement_constraints(ctx, params, definition),
        placement_strategy=launch_params.placement_strategy(params),
        health_check_grace_period=service_params.grace_period(params),
        role_arn=service_load_balancers.role_arn(ctx, params, definition, revision.load_balancers)
        if definition is not None
        else None,
        created_at=ctx.now,
        created_by=ctx.principal_arn,
        enable_ecs_managed_tags=params.get("enableECSManagedTags", False),
        propagate_tags=params.get("propagateTags", "NONE"),
        enable_execute_command=params.get("enableExecuteCommand", False),
        client_token=token,
        tags=to_tags(params.get("tags", [])),
    )
    if strategy == "DAEMON" and service.placement_strategy:
        raise invalid("Placement strategies are not supported with the DAEMON scheduling strategy.")
    rebalanced = _rebalancing(service, params.get("availabilityZoneRebalancing"))
    return replace(service, availability_zone_rebalancing=rebalanced)


def _new_definition(ctx: Context, params: dict[str, Any]) -> TaskDefinition:
    if not params.get("taskDefinition"):
        raise invalid("TaskDefinition can not be blank.")
    return launch_params.task_definition(ctx, params["taskDefinition"])


def _new_revision(
    ctx: Context, params: dict[str, Any], cluster: Cluster, definition: TaskDefinition, scheduling: str
) -> Revision:
    balancers = service_load_balancers.load_balancers(ctx, params, definition)
    launch = launch_params.launch(ctx, params, cluster, definition)
    service_load_balancers.check_launch_type(balancers, launch.launch_type)
    _refuse_daemon_by_strategy(scheduling, launch.strategy)
    if scheduling == "DAEMON" and launch.runs_on == fargate.LAUNCH_TYPE:
        raise invalid("The daemon scheduling strategy is not supported for the FARGATE launch type.")
    return Revision(
        task_definition_arn=definition.arn,
        launch_type=launch.launch_type,
        capacity_provider_strategy=launch.strategy,
        platform_version=launch_params.platform_version(params, launch.runs_on),
        network_configuration=networks.network_configuration(ctx, params, definition, launch.runs_on),
        load_balancers=balancers,
        volume_configurations=volume_params.volume_configurations(ctx, params, definition, launch.runs_on),
    )


def _refuse_daemon_by_strategy(
    scheduling: str, strategy: tuple[CapacityProviderStrategyItem, ...]
) -> None:
    """The cluster's default strategy counts too; a launchType of EC2 is what such a call lacks."""
    if scheduling == "DAEMON" and strategy:
        raise invalid(
            "Specifying a capacity provider strategy is not supported when you create a service using the "
            "DAEMON scheduling strategy.",
            "Say launchType EC2: without it the cluster's default capacity provider strategy is used.",
        )


def _rebalancing(service: Service, given: str | None) -> str:
    """ENABLED by default where the service's settings allow it, as CreateService does today."""
    ruled_out = rebalancing.why_not(
        service.scheduling_strategy, service.deployment_configuration, service.placement_strategy
    )
    if service.deployment_controller != "ECS":
        ruled_out = f"the {service.deployment_controller} deployment controller"
    if given == "ENABLED" and ruled_out:
        raise invalid(
            f"AvailabilityZoneRebalancing does not support {ruled_out}",
            "It needs the REPLICA scheduling strategy, a maximumPercent above 100, and as the first placement"
            " strategy, where there is one, a spread over attribute:ecs.availability-zone.",
        )
    return given or ("DISABLED" if ruled_out else "ENABLED")


@operation
def update_service(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change the spec. What a revision holds makes a new deployment when it changes, or when forced."""
    cluster = resolve.cluster(ctx, params)
    service = resolve.active_service(ctx, cluster, params["service"])
    controllers.check_update(params, service.deployment_controller)
    controllers.check_configuration(params, service.deployment_controller)
    service_params.refuse_unsupported(params)
    because = "UpdateService was called"
    if service.deployment_controller != "ECS":
        updated = _updated(ctx, params, service, None)
        if updated != service:
            write_service(ctx.tx, service, updated, now=ctx.now, because=because)
            for task_set in task_sets.of_service(ctx.tx, service):
                ctx.tx.put(task_sets.unsettled(updated, task_set, now=ctx.now))
        return {"service": render_service(ctx, updated, tags=True)}
    definition = _definition_for_update(ctx, params, service)
    launch = _launch(ctx, params, cluster, service, definition)
    updated = _updated(ctx, params, service, definition)
    if launch.runs_on == fargate.LAUNCH_TYPE:
        launch_params.refuse_placement(updated.placement_constraints, updated.placement_strategy, kept=True)
    revision = _revision(ctx, params, launch, updated, definition)
    if revision != updated.revision or params.get("forceNewDeployment", False):
        releasing = service_deployments.ongoing(ctx.tx, service)
        ongoing = [service_deployments.counted(ctx.tx, service, each) for each in releasing]
        unresolved = version_consistency.to_resolve(updated, definition)
        begun = begin(
            updated, revision, ongoing=ongoing, unresolved=unresolved, now=ctx.now, ids=ctx.ids
        )
        write_begun(ctx.tx, service, begun, now=ctx.now, because=because)
        updated = begun.service
    elif updated != service:
        write_service(ctx.tx, service, updated, now=ctx.now, because=because)
        _reconfigure(ctx, updated)
    return {"service": render_service(ctx, updated, tags=True)}


def _reconfigure(ctx: Context, service: Service) -> None:
    """A deployment that is under way goes on as the service is configured now."""
    for release in service_deployments.ongoing(ctx.tx, service):
        if release.configuration != service.deployment_configuration:
            ctx.tx.put(replace(release, configuration=service.deployment_configuration))


def _updated(
    ctx: Context, params: dict[str, Any], service: Service, definition: TaskDefinition | None
) -> Service:
    """The service as it is to be, but for what it is to run."""
    if "desiredCount" in params:
        if service.scheduling_strategy == "DAEMON":
            service_params.desired_count(params, "DAEMON")
        service = scale(service, service_params.checked_count(params["desiredCount"]), now=ctx.now)
    updated = replace(
        service,
        deployment_configuration=deployment_configuration(
            ctx, params, service.scheduling_strategy, service.deployment_configuration
        ),
        health_check_grace_period=service_params.grace_period(params)
        if "healthCheckGracePeriodSeconds" in params
        else service.health_check_grace_period,
        placement_constraints=launch_params.placement_constraints(ctx, params, definition)
        if "placementConstraints" in params
        else service.placement_constraints,
        placement_strategy=launch_params.placement_strategy(params)
        if "placementStrategy" in params
        else service.placement_strategy,
        enable_ecs_managed_tags=params.get("enableECSManagedTags", service.enable_ecs_managed_tags),
        propagate_tags=params.get("propagateTags", service.propagate_tags),
        enable_execute_command=params.get("enableExecuteCommand", service.enable_execute_command),
    )
    if definition is not None and ("enableExecuteCommand" in params or "taskDefinition" in params):
        service_params.check_execute_command(updated.enable_execute_command, definition, "updated")
    if updated.scheduling_strategy == "DAEMON" and updated.placement_strategy:
        raise invalid("Placement strategies are not supported with the DAEMON scheduling strategy.")
    kept = params.get("availabilityZoneRebalancing", updated.availability_zone_rebalancing)
    _hint_at_deadlock(ctx, params, updated)
    return replace(updated, availability_zone_rebalancing=_rebalancing(updated, kept))


def _hint_at_deadlock(ctx: Context, params: dict[str, Any], service: Service) -> None:
    """Bounds that leave no deployment a move are accepted, and better known before the first one hangs."""
    given = "desiredCount" in params or "deploymentConfiguration" in params
    if not given or service.scheduling_strategy == "DAEMON" or service.deployment_controller != "ECS":
        return
    desired, configuration = service.desired_count, service.deployment_configuration
    floor, ceiling = deployments.bounds(desired, configuration)
    if desired and floor >= desired >= ceiling:
        ctx.hint(
            f"Of {desired} task{'' if desired == 1 else 's'} minimumHealthyPercent"
            f" {configuration.minimum_healthy_percent} keeps {floor}, and maximumPercent"
            f" {configuration.maximum_percent} allows {ceiling}: a deployment can neither stop nor start one."
        )


def _definition_for_update(ctx: Context, params: dict[str, Any], service: Service) -> TaskDefinition:
    """A task definition that is named must be ACTIVE; the service's own may have become INACTIVE since."""
    if params.get("taskDefinition"):
        named = find_task_definition(ctx, params["taskDefinition"])
        if named is not None and named.arn == service.revision.task_definition_arn:
            return named
        return launch_params.task_definition(ctx, params["taskDefinition"])
    own = ctx.tx.get(TaskDefinition, service.revision.task_definition_arn)
    if own is None:
        raise RuntimeError(f"{service.arn} outlived its task definition")
    return own


def _revision(
    ctx: Context, params: dict[str, Any], launch: Launch, service: Service, definition: TaskDefinition
) -> Revision:
    current = replace(
        service.revision, launch_type=launch.launch_type, capacity_provider_strategy=launch.strategy
    )
    runs_on = launch.runs_on
    moved = (runs_on == fargate.LAUNCH_TYPE) != fargate.runs(service.revision)
    changed = moved or definition.arn != current.task_definition_arn
    balancers = (
        service_load_balancers.load_balancers(ctx, params, definition)
        if "loadBalancers" in params
        else current.load_balancers
    )
    if definition.arn != current.task_definition_arn and "loadBalancers" not in params and balancers:
        kept = [
            {
                "targetGroupArn": balancer.target_group_arn,
                "containerName": balancer.container_name,
                "containerPort": balancer.container_port,
            }
            for balancer in balancers
        ]
        balancers = service_load_balancers.load_balancers(ctx, {"loadBalancers": kept}, definition)
    service_load_balancers.check_launch_type(balancers, launch.launch_type)
    network = current.network_configuration
    if changed or "networkConfiguration" in params:
        asked = {"networkConfiguration": params.get("networkConfiguration", network)}
        network = networks.network_configuration(ctx, asked, definition, runs_on)
    volumes = current.volume_configurations
    if changed or params.get("volumeConfigurations") is not None:
        volumes = volume_params.volume_configurations(ctx, params, definition, runs_on, volumes)
    return replace(
        current,
        task_definition_arn=definition.arn,
        platform_version=launch_params.platform_version(params, runs_on)
        if moved or params.get("platformVersion")
        else current.platform_version,
        load_balancers=balancers,
        network_configuration=network,
        volume_configurations=volumes,
    )


def _launch(
    ctx: Context, params: dict[str, Any], cluster: Cluster, service: Service, definition: TaskDefinition
) -> Launch:
    """As the service is launched now, or by another strategy; an empty one leads back to the launch type."""
    now, given = service.revision, params.get("capacityProviderStrategy")
    on_fargate = fargate.runs(now)
    if given:
        launch = launch_params.launch(ctx, params, cluster, definition)
        _refuse_daemon_by_strategy(service.scheduling_strategy, launch.strategy)
    elif given is not None or not now.capacity_provider_strategy:
        chosen = now.launch_type or (fargate.LAUNCH_TYPE if on_fargate else "EC2")
        launch = Launch(chosen, (), launch_params.launch_type(params, chosen, definition))
    else:
        chosen = fargate.LAUNCH_TYPE if on_fargate else "EC2"
        runs_on = launch_params.launch_type(params, chosen, definition)
        launch = Launch(None, now.capacity_provider_strategy, runs_on)
    if launch.strategy != now.capacity_provider_strategy and not params.get("forceNewDeployment", False):
        raise invalid(
            "When switching from launch type to capacity provider strategy on an existing service, or making "
            "a change to a capacity provider strategy on a service that is already using one, you must force "
            "a new deployment."
        )
    return launch


@operation
def delete_service(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ACTIVE → DRAINING at once; INACTIVE when its tasks are gone."""
    cluster = resolve.cluster(ctx, params)
    service = resolve.find_service(ctx, cluster, params["service"])
    if service is None or service.status == "INACTIVE":
        raise AwsError("ServiceNotFoundException", "Service not found.")
    if service.status == "DRAINING":
        return {"service": render_service(ctx, service)}
    scaled = service.desired_count > 0 or (
        service.scheduling_strategy == "DAEMON" and bool(ctx.tx.find(Task, "service", service.arn))
    )
    if scaled and not params.get("force", False):
        raise invalid("The service cannot be stopped while it is scaled above 0.")
    draining = replace(scale(service, 0, now=ctx.now), status="DRAINING", steady=False)
    write_service(ctx.tx, service, draining, now=ctx.now, because="DeleteService was called")
    for task_set in task_sets.of_service(ctx.tx, service):
        ctx.tx.put(task_sets.with_status(task_set, DRAINING, now=ctx.now))
    for release in service_deployments.ongoing(ctx.tx, service):
        ended = service_deployments.counted(ctx.tx, service, release)
        ctx.tx.put(service_deployments.deleted(ended, now=ctx.now))
    return {"service": render_service(ctx, draining)}


@read_operation
def describe_services(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    cluster = resolve.cluster(ctx, params)
    wanted = params["services"]
    if not wanted:
        raise invalid("Services cannot be empty.")
    if len(wanted) > _DESCRIBE_LIMIT:
        raise invalid(f"Services must have at most {_DESCRIBE_LIMIT} members.")
    tags = "TAGS" in params.get("include", [])
    services, failures = [], []
    for text in dict.fromkeys(wanted):
        service = resolve.find_service(ctx, cluster, text)
        if service is None:
            arn = text if text.startswith("arn:") else arns.service(ctx.scope, cluster.name, text)
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            services.append(render_service(ctx, service, tags=tags))
    return {"services": services, "failures": failures}


@read_operation
def list_services(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ARNs of the ACTIVE services, ten a page unless told."""
    cluster = resolve.cluster(ctx, params)
    launch_type = params.get("launchType")
    strategy = params.get("schedulingStrategy")
    listed = sorted(
        service.arn
        for service in ctx.tx.find(Service, "cluster", cluster.arn)
        if service.status == "ACTIVE"
        and (launch_type is None or service.revision.launch_type == launch_type)
        and (strategy is None or service.scheduling_strategy == strategy)
        and params.get("resourceManagementType", "CUSTOMER") == "CUSTOMER"
    )
    return ecs_page(listed, params, "serviceArns", default=_LIST_DEFAULT)
