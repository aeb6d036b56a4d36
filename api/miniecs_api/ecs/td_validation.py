"""The rules that a task definition as a whole must keep: sizes, ports, volumes, the order of its containers.

The order of the checks is that in which ECS was seen to complain: containers one by one, then what
they share, then what the required kinds of capacity ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from miniecs.model.container_definition import ContainerDefinition
from miniecs.model.task_definition import TaskDefinition, Volume
from miniecs_api.ecs.td_compatibilities import objection
from miniecs_api.ecs.td_containers import NAME, because, check_container
from miniecs_api.ecs.td_normal import TROUBLESHOOTING, refuse
from miniecs_scheduler import ExpressionError, parse_expression

_TASK_CPU = range(128, 196_608 + 1)
_MIN_MEMORY = 6  # MiB
_MAX_CONSTRAINTS = 10


def check(definition: TaskDefinition) -> None:
    """Raise ClientException with the first thing that ECS would refuse."""
    if not NAME.fullmatch(definition.family):
        refuse("Family contains invalid characters")
    containers = {container.name: container for container in definition.container_definitions}
    for container in definition.container_definitions:
        check_container(container, definition)
    if len(containers) < len(definition.container_definitions):
        names = [container.name for container in definition.container_definitions]
        refuse(f"Duplicate container name '{_first_repeated(names)}'. Container names must be unique.")
    _check_task_size(definition)
    _check_container_sizes(definition)
    if not any(container.essential for container in definition.container_definitions):
        refuse("The task definition doesn't have any essential container.")
    _check_ports(definition)
    _check_volumes(definition)
    for container in definition.container_definitions:
        _check_references(container, containers, definition)
    _check_cycles(containers)
    _check_roles(definition)
    _check_log_routers(definition)
    _check_constraints(definition)
    _check_task_parameters(definition, containers)
    for kind in definition.requires_compatibilities or ():
        problem = objection(definition, kind)
        if problem is not None:
            refuse(problem)


def _requires_fargate(definition: TaskDefinition) -> bool:
    return "FARGATE" in (definition.requires_compatibilities or ())


def _check_task_size(definition: TaskDefinition) -> None:
    """Fargate has a table of its own (td_compatibilities)."""
    if _requires_fargate(definition):
        return
    if definition.cpu is not None and int(definition.cpu) not in _TASK_CPU:
        refuse(f"Invalid 'cpu' setting for task. {TROUBLESHOOTING}")
    if definition.memory is not None and int(definition.memory) < _MIN_MEMORY:
        refuse(f"Invalid 'memory' setting for task. {TROUBLESHOOTING}")


def _check_container_sizes(definition: TaskDefinition) -> None:
    task_memory = int(definition.memory) if definition.memory is not None else None
    for container in definition.container_definitions:
        given = max(container.memory or 0, container.memory_reservation or 0)
        if task_memory is None:
            if not given and not _requires_fargate(definition):
                because(
                    container, "At least one of 'memory' or 'memoryReservation' must be specified."
                )
        elif given > task_memory:
            refuse("The 'memory' setting for container is greater than for the task.")
    if definition.cpu is not None:
        if sum(container.cpu for container in definition.container_definitions) > int(definition.cpu):
            refuse(
                "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'."
            )


def _check_ports(definition: TaskDefinition) -> None:
    taken: set[tuple[str, int]] = set()
    names: set[str] = set()
    for container in definition.container_definitions:
        for mapping in container.port_mappings:
            if mapping.host_port:
                port = (mapping.protocol, mapping.host_port)
                if port in taken:
                    refuse(
                        f"{mapping.protocol.upper()} host port '{mapping.host_port}' is mapped multiple "
                        "times in task."
                    )
                taken.add(port)
            if mapping.name is not None:
                if mapping.name in names:
                    refuse(
                        f"Port mapping name '{mapping.name}' is used multiple times in task. "
                        "Port mapping names must be unique."
                    )
                names.add(mapping.name)


def _check_volumes(definition: TaskDefinition) -> None:
    names = [volume.name for volume in definition.volumes]
    if len(set(names)) < len(names):
        refuse(f"Duplicate volume name '{_first_repeated(names)}'. Volume names must be unique.")
    for volume in definition.volumes:
        _check_volume(volume)
    if sum(bool(volume.configured_at_launch) for volume in definition.volumes) > 1:
        refuse("Only one volume can be configured at launch.")


def _check_volume(volume: Volume) -> None:
    if not NAME.fullmatch(volume.name):
        refuse("Volume.name contains invalid characters")
    kinds = (
        volume.host,
        volume.docker_volume_configuration,
        volume.efs_volume_configuration,
        volume.s3files_volume_configuration,
        volume.fsx_windows_file_server_volume_configuration,
        volume.configured_at_launch or None,
    )
    if sum(kind is not None for kind in kinds) > 1:
        refuse(f"Volume '{volume.name}' must have only one volume configuration.")
    docker, efs = volume.docker_volume_configuration, volume.efs_volume_configuration
    if docker is not None and docker.autoprovision is not None and docker.scope != "shared":
        refuse(f"Volume '{volume.name}': autoprovision is only supported with scope shared.")
    if efs is not None:
        access = efs.authorization_config
        if access is not None and (access.iam == "ENABLED" or access.access_point_id):
            if efs.transit_encryption != "ENABLED":
                refuse(
                    f"Volume '{volume.name}': transit encryption must be enabled when an access point or IAM "
                    "authorization is used."
                )
            if access.access_point_id and efs.root_directory not in (None, "", "/"):
                refuse(
                    f"Volume '{volume.name}': the root directory must be omitted or set to / when an access "
                    "point is specified."
                )
        _check_transit_port(volume, efs.transit_encryption_port)
    s3files = volume.s3files_volume_configuration
    if s3files is not None:
        if s3files.access_point_arn and s3files.root_directory not in (None, "", "/"):
            refuse(
                f"Volume '{volume.name}': the root directory must be omitted or set to / when an access "
                "point is specified."
            )
        _check_transit_port(volume, s3files.transit_encryption_port)


def _check_transit_port(volume: Volume, port: int | None) -> None:
    if port is not None and not 1 <= port <= 65_535:
        refuse(f"Volume '{volume.name}': the transit encryption port must be between 1 and 65535.")


def _check_references(
    container: ContainerDefinition, containers: Mapping[str, ContainerDefinition], definition: TaskDefinition
) -> None:
    volumes = {volume.name for volume in definition.volumes} if container.mount_points else ()
    for mount in container.mount_points:
        if not mount.source_volume or mount.source_volume not in volumes:
            refuse(f"Unknown volume '{mount.source_volume or ''}'.")
        if not mount.container_path:
            because(container, "A mount point needs a containerPath.")
    for source in container.volumes_from:
        _known(container, source.source_container or "", "volumesFrom", containers)
    for link in container.links or ():
        _known(container, link.partition(":")[0], "links", containers)
    for dependency in container.depends_on or ():
        on = _known(container, dependency.container_name, "dependsOn", containers)
        if dependency.condition in ("COMPLETE", "SUCCESS") and on.essential:
            refuse(
                "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"
            )
        if dependency.condition == "HEALTHY" and on.health_check is None:
            refuse("A dependency container with HEALTHY condition must have a health check configured")


def _known(
    container: ContainerDefinition, name: str, where: str, containers: Mapping[str, ContainerDefinition]
) -> ContainerDefinition:
    if name == container.name:
        because(container, f"'{where}' names the container itself.")
    found = containers.get(name)
    if found is None:
        refuse(f"Unknown container '{name}' in '{where}' of container '{container.name}'.")
    return found


def _check_cycles(containers: Mapping[str, ContainerDefinition]) -> None:
    """Links, volumesFrom and dependsOn all say that the other container starts first."""
    if not any(c.links or c.volumes_from or c.depends_on for c in containers.values()):
        return
    waits = {name: set(_starts_after(container)) for name, container in containers.items()}
    while startable := [name for name, others in waits.items() if not others]:
        for name in startable:
            del waits[name]
        for others in waits.values():
            others.difference_update(startable)
    if waits:
        refuse(f"Cyclic dependency between containers: {', '.join(sorted(waits))}.")


def _starts_after(container: ContainerDefinition) -> Iterator[str]:
    for link in container.links or ():
        yield link.partition(":")[0]
    for source in container.volumes_from:
        yield source.source_container or ""
    for dependency in container.depends_on or ():
        yield dependency.container_name


def _check_roles(definition: TaskDefinition) -> None:
    if definition.execution_role_arn is not None:
        return
    for container in definition.container_definitions:
        logging = container.log_configuration
        if container.secrets or (logging is not None and logging.secret_options):
            refuse(
                "When you are specifying container secrets, you must also specify a value for "
                "'executionRoleArn'."
            )
        if container.environment_files:
            refuse(
                "When you are specifying environment files, you must also specify a value for "
                "'executionRoleArn'."
            )
        if container.repository_credentials is not None:
            refuse(
                "When you are specifying repository credentials, you must also specify a value for "
                "'executionRoleArn'."
            )


def _check_log_routers(definition: TaskDefinition) -> None:
    routers = sum(c.firelens_configuration is not None for c in definition.container_definitions)
    if routers > 1:
        refuse("A task definition can have only one container with a firelensConfiguration.")
    if routers == 0:
        for container in definition.container_definitions:
            logging = container.log_configuration
            if logging is not None and logging.log_driver == "awsfirelens":
                because(
                    container, "Log driver awsfirelens requires a container with a firelensConfiguration."
                )


def _check_constraints(definition: TaskDefinition) -> None:
    if len(definition.placement_constraints) > _MAX_CONSTRAINTS:
        refuse(f"A maximum of {_MAX_CONSTRAINTS} placement constraints is allowed.")
    for constraint in definition.placement_constraints:
        if not constraint.expression:
            refuse("Expression must be specified for the memberOf constraint.")
        try:
            parse_expression(constraint.expression)
        except ExpressionError as problem:
            refuse(f"Invalid placement constraint expression: {problem}")


def _check_task_parameters(
    definition: TaskDefinition, containers: Mapping[str, ContainerDefinition]
) -> None:
    proxy = definition.proxy_configuration
    if proxy is not None:
        if proxy.container_name not in containers:
            refuse(f"Unknown container '{proxy.container_name}' in 'proxyConfiguration'.")
        if definition.network_mode != "awsvpc":
            refuse("proxyConfiguration requires networkMode=awsvpc.")
    if definition.enable_fault_injection and definition.network_mode not in ("awsvpc", "host"):
        refuse("enableFaultInjection requires networkMode=awsvpc or networkMode=host.")
    trust = definition.trusted_execution_configuration
    if trust is not None:
        if trust.isolation_mode == "CONFIDENTIAL_SANDBOX" and not trust.attestation_policy:
            refuse("attestationPolicy is required when isolationMode is CONFIDENTIAL_SANDBOX.")
        if "MANAGED_INSTANCES" not in (definition.requires_compatibilities or ()):
            refuse("trustedExecutionConfiguration is supported only for MANAGED_INSTANCES.")


def _first_repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    raise ValueError("no name is repeated")
