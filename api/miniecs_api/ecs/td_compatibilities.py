"""On what a task definition can run: EC2, Fargate, external instances, managed instances.

Each kind of capacity has a function that says, in ECS's words, the first reason why not. A reason
refuses the registration when the kind was required, and else leaves it out of ``compatibilities``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from miniecs.model.container_definition import ContainerDefinition
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.ecs.td_attributes import is_ecr

# CPU units to the memory (MiB) that goes with them (developer guide, "Task CPU and memory").
FARGATE_SIZES: dict[int, frozenset[int]] = {
    256: frozenset((512, 1024, 2048)),
    512: frozenset(range(1024, 4096 + 1, 1024)),
    1024: frozenset(range(2048, 8192 + 1, 1024)),
    2048: frozenset(range(4096, 16384 + 1, 1024)),
    4096: frozenset(range(8192, 30720 + 1, 1024)),
    8192: frozenset(range(16384, 61440 + 1, 4096)),
    16384: frozenset(range(32768, 122880 + 1, 8192)),
}
_FARGATE_LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_MANAGED_LOG_DRIVERS = (*_FARGATE_LOG_DRIVERS, "json-file", "fluentd", "gelf", "journald", "syslog")
_FARGATE_EPHEMERAL_GIB = range(21, 201)
_FARGATE_MAX_TIMEOUT = 120  # seconds
_WINDOWS_LEAST_CPU = 1024

Objections = Iterator[str]


def compatibilities(definition: TaskDefinition) -> tuple[str, ...]:
    """What the task definition can run on, in the order in which ECS answers them."""
    return tuple(kind for kind, objections in _KINDS if next(objections(definition), None) is None)


def objection(definition: TaskDefinition, kind: str) -> str | None:
    """Why the definition cannot run on this kind of capacity; None when it can."""
    return next(_OBJECTIONS[kind](definition), None)


def _on_fargate(definition: TaskDefinition) -> Objections:
    if definition.network_mode != "awsvpc":
        yield "Fargate only supports network mode ‘awsvpc’."
    if definition.cpu is None:
        yield "Fargate requires that 'cpu' be defined at the task level."
    elif definition.memory is None:
        yield "Fargate requires that 'memory' be defined at the task level."
    elif int(definition.memory) not in FARGATE_SIZES.get(int(definition.cpu), ()):
        yield "No Fargate configuration exists for given values."
    if definition.execution_role_arn is None:
        yield from _roles_missing_on_fargate(definition)
    for what in _unsupported_on_fargate(definition):
        yield f"Fargate compatible task definitions do not support {what}"
    if _is_windows(definition) and int(definition.cpu or 0) < _WINDOWS_LEAST_CPU:
        yield "No Fargate configuration exists for given values."
    storage = definition.ephemeral_storage
    if storage is not None and storage.size_in_gib not in _FARGATE_EPHEMERAL_GIB:
        yield "Ephemeral storage size must be between 21 GiB and 200 GiB."
    for container in definition.container_definitions:
        for setting, value in (
            ("startTimeout", container.start_timeout),
            ("stopTimeout", container.stop_timeout),
        ):
            if value is not None and value > _FARGATE_MAX_TIMEOUT:
                yield (
                    f"Invalid setting for container '{container.name}'. '{setting}' must be at most "
                    f"{_FARGATE_MAX_TIMEOUT} seconds on Fargate."
                )


def _roles_missing_on_fargate(definition: TaskDefinition) -> Objections:
    """Fargate has no instance whose role could pull and log: the task brings its own."""
    text = "Fargate requires task definition to have execution role ARN to support"
    for container in definition.container_definitions:
        if is_ecr(container.image):
            yield f"{text} ECR images."
        logging = container.log_configuration
        if logging is not None and logging.log_driver == "awslogs":
            yield f"{text} log driver awslogs."


def _unsupported_on_fargate(definition: TaskDefinition) -> Iterator[str]:
    if definition.pid_mode == "host":
        yield "pidMode host"
    if definition.ipc_mode is not None:
        yield "ipcMode"
    if definition.placement_constraints:
        yield "placementConstraints"
    if definition.inference_accelerators:
        yield "inferenceAccelerators"
    if definition.trusted_execution_configuration is not None:
        yield "trustedExecutionConfiguration"
    for volume in definition.volumes:
        if volume.docker_volume_configuration is not None:
            yield "dockerVolumeConfiguration"
        if volume.fsx_windows_file_server_volume_configuration is not None:
            yield "fsxWindowsFileServerVolumeConfiguration"
        if volume.host is not None and volume.host.source_path is not None:
            yield "the host volume parameter sourcePath"
    for container in definition.container_definitions:
        yield from _unsupported_in_container(container)
        linux = container.linux_parameters
        if linux is not None:
            if linux.devices:
                yield "devices"
            if linux.max_swap is not None:
                yield "maxSwap"
            if linux.swappiness is not None:
                yield "swappiness"
            if linux.shared_memory_size is not None:
                yield "sharedMemorySize"
            if linux.capabilities is not None and set(linux.capabilities.add or ()) - {"SYS_PTRACE"}:
                yield "adding capabilities other than SYS_PTRACE"
        if container.resource_requirements:
            yield "resourceRequirements"
        logging = container.log_configuration
        if logging is not None and logging.log_driver not in _FARGATE_LOG_DRIVERS:
            yield f"log driver {logging.log_driver}"


def _unsupported_in_container(container: ContainerDefinition) -> Iterator[str]:
    """What neither Fargate nor managed instances let a container do."""
    if container.privileged:
        yield "privileged containers"
    if container.disable_networking:
        yield "disableNetworking"
    if container.dns_search_domains:
        yield "dnsSearchDomains"
    if container.dns_servers:
        yield "dnsServers"
    if container.docker_security_options:
        yield "dockerSecurityOptions"
    if container.extra_hosts:
        yield "extraHosts"
    if container.links:
        yield "links"


def _on_external(definition: TaskDefinition) -> Objections:
    """Instances outside of AWS have no VPC and reach no EFS (developer guide, "Amazon ECS Anywhere")."""
    if definition.network_mode == "awsvpc":
        yield "External instances do not support network mode awsvpc."
    if definition.proxy_configuration is not None:
        yield "External instances do not support proxyConfiguration."
    if definition.inference_accelerators:
        yield "External instances do not support inferenceAccelerators."
    if definition.trusted_execution_configuration is not None:
        yield "External instances do not support trustedExecutionConfiguration."
    for volume in definition.volumes:
        if volume.efs_volume_configuration is not None:
            yield "External instances do not support efsVolumeConfiguration."
        if volume.s3files_volume_configuration is not None:
            yield "External instances do not support s3filesVolumeConfiguration."
        if volume.configured_at_launch:
            yield "External instances do not support volumes configured at launch."
    for container in definition.container_definitions:
        if any(r.sharing_strategy is not None for r in container.resource_requirements or ()):
            yield "External instances do not support the sharing of GPUs."


def _on_managed_instances(definition: TaskDefinition) -> Objections:
    """Managed instances are sized by their tasks and run Linux only."""
    if definition.network_mode not in ("awsvpc", "host"):
        yield "Managed instances only support network modes awsvpc and host."
    if definition.cpu is None:
        yield "Managed instances require that 'cpu' be defined at the task level."
    if definition.memory is None:
        yield "Managed instances require that 'memory' be defined at the task level."
    if _is_windows(definition):
        yield "Managed instances do not support Windows."
    if definition.inference_accelerators:
        yield "Managed instances do not support inferenceAccelerators."
    if definition.proxy_configuration is not None:
        yield "Managed instances do not support proxyConfiguration."
    for volume in definition.volumes:
        if volume.docker_volume_configuration is not None:
            yield "Managed instances do not support dockerVolumeConfiguration."
        if volume.fsx_windows_file_server_volume_configuration is not None:
            yield "Managed instances do not support fsxWindowsFileServerVolumeConfiguration."
    for container in definition.container_definitions:
        logging = container.log_configuration
        if logging is not None and logging.log_driver not in _MANAGED_LOG_DRIVERS:
            yield f"Managed instances do not support log driver {logging.log_driver}."
        for what in _unsupported_in_container(container):
            if what != "privileged containers":
                yield f"Managed instances do not support {what}."


def _on_ec2(definition: TaskDefinition) -> Objections:
    if definition.trusted_execution_configuration is not None:
        yield "Trusted execution is supported only on managed instances."


def _is_windows(definition: TaskDefinition) -> bool:
    platform = definition.runtime_platform
    return platform is not None and (platform.operating_system_family or "").startswith("WINDOWS")


_KINDS: tuple[tuple[str, Callable[[TaskDefinition], Objections]], ...] = (
    ("EXTERNAL", _on_external),
    ("EC2", _on_ec2),
    ("FARGATE", _on_fargate),
    ("MANAGED_INSTANCES", _on_managed_instances),
)
_OBJECTIONS = dict(_KINDS)
