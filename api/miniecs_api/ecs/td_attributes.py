"""What a container instance must be capable of to run a task definition: its requiresAttributes.

Names are amazon-ecs-agent's capabilities. Which parameter asks for which one was taken from
answers of ECS; AWS documents no list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from miniecs.model.container_definition import (
    ContainerDefinition,
    FirelensConfiguration,
    LogConfiguration,
    Secret,
)
from miniecs.model.task_definition import RequiredAttribute, TaskDefinition, Volume

_COM = "com.amazonaws.ecs.capability."
_ECS = "ecs.capability."
_DOCKER_API = _COM + "docker-remote-api.1."


def is_ecr(image: str) -> bool:
    """An image of a private repository in Amazon ECR (not of the public gallery)."""
    registry = image.partition("/")[0]
    return ".dkr.ecr" in registry and ".amazonaws.com" in registry


def required_attributes(definition: TaskDefinition) -> tuple[RequiredAttribute, ...]:
    """Each needed capability once, in order of first need."""
    names = dict.fromkeys(_names(definition))
    return tuple(_ATTRIBUTES.get(name) or RequiredAttribute(name=name) for name in names)


def _names(definition: TaskDefinition) -> Iterator[str]:
    role = definition.execution_role_arn is not None
    for container in definition.container_definitions:
        if container.log_configuration is not None:
            yield from _of_logging(container.log_configuration, role)
        if is_ecr(container.image):
            yield _COM + "ecr-auth"
            if role:
                yield _ECS + "execution-role-ecr-pull"
        for needed, name in _BY_CONTAINER:
            if needed(container):
                yield name
        for secret in container.secrets or ():
            yield f"{_ECS}secrets.{_secret_store(secret)}.environment-variables"
        if container.firelens_configuration is not None:
            yield from _of_firelens(container.firelens_configuration)
        if container.docker_security_options:
            yield from _of_security(container.docker_security_options)
    for volume in definition.volumes:
        yield from _of_volume(volume)
    for wanted, name in _BY_TASK:
        if wanted(definition):
            yield name


def _of_logging(logging: LogConfiguration, role: bool) -> Iterator[str]:
    options = logging.options or {}
    yield f"{_COM}logging-driver.{logging.log_driver}"
    yield _DOCKER_API + "18"
    if logging.log_driver == "awslogs":
        yield _DOCKER_API + "19"
        if role:
            yield _ECS + "execution-role-awslogs"
    if "mode" in options or "max-buffer-size" in options:
        yield _DOCKER_API + "28"
    if "awslogs-create-group" in options:
        yield _DOCKER_API + "29"
    if "log-driver-buffer-limit" in options:
        yield _ECS + "logging-driver.awsfirelens.log-driver-buffer-limit"
    for secret in logging.secret_options or ():
        yield f"{_ECS}secrets.{_secret_store(secret)}.bootstrap.log-driver"


def _of_firelens(firelens: FirelensConfiguration) -> Iterator[str]:
    yield f"{_ECS}firelens.{firelens.type}"
    source = (firelens.options or {}).get("config-file-type")
    if source is not None:
        yield f"{_ECS}firelens.options.config.{source}"


def _of_security(options: Iterable[str]) -> Iterator[str]:
    """``label:…`` is SELinux's, ``apparmor:…`` AppArmor's, ``credentialspec:…`` Active Directory's."""
    for option in options:
        name = _SECURITY.get(option.partition(":")[0])
        if name is not None:
            yield name


def _of_volume(volume: Volume) -> Iterator[str]:
    if volume.docker_volume_configuration is not None:
        yield f"{_ECS}docker-plugin.{volume.docker_volume_configuration.driver or 'local'}"
    if volume.efs_volume_configuration is not None:
        yield _ECS + "efs"
        if volume.efs_volume_configuration.authorization_config is not None:
            yield _ECS + "efsAuth"
    if volume.s3files_volume_configuration is not None:
        yield _ECS + "storage.s3-files"
    if volume.fsx_windows_file_server_volume_configuration is not None:
        yield _ECS + "fsxWindowsFileServer"
    if volume.configured_at_launch:
        yield _ECS + "storage.ebs-task-volume-attach"


def _secret_store(secret: Secret) -> str:
    """Secrets Manager (asm) is always named by ARN; all else is a parameter of Systems Manager (ssm)."""
    return "asm" if secret.value_from.split(":", 3)[2:3] == ["secretsmanager"] else "ssm"


_BY_CONTAINER: tuple[tuple[Callable[[ContainerDefinition], object], str], ...] = (
    (lambda c: c.links or c.mount_points or c.volumes_from, _DOCKER_API + "17"),
    (lambda c: c.docker_labels or c.ulimits, _DOCKER_API + "18"),
    (lambda c: c.memory_reservation is not None, _DOCKER_API + "21"),
    (lambda c: (p := c.linux_parameters) and (p.tmpfs or p.shared_memory_size), _DOCKER_API + "22"),
    (lambda c: c.health_check, _ECS + "container-health-check"),
    (lambda c: c.health_check, _DOCKER_API + "24"),
    (lambda c: (p := c.linux_parameters) and p.init_process_enabled, _DOCKER_API + "25"),
    (lambda c: (h := c.health_check) and h.start_period is not None, _DOCKER_API + "29"),
    (
        lambda c: c.depends_on or c.start_timeout is not None or c.stop_timeout is not None,
        _ECS + "container-ordering",
    ),
    (lambda c: c.environment_files, _ECS + "env-files.s3"),
    (lambda c: c.restart_policy and c.restart_policy.enabled, _ECS + "container-restart-policy"),
    (lambda c: c.privileged, _COM + "privileged-container"),
    (
        lambda c: any(m.container_port_range for m in c.port_mappings),
        _ECS + "network.container-port-range",
    ),
    (lambda c: c.repository_credentials, _ECS + "private-registry-authentication.secretsmanager"),
    (lambda c: c.credential_specs, _ECS + "gmsa"),
)

_SECURITY = {"label": _COM + "selinux", "apparmor": _COM + "apparmor", "credentialspec": _ECS + "gmsa"}

_BY_TASK: tuple[tuple[Callable[[TaskDefinition], object], str], ...] = (
    (lambda d: d.task_role_arn, _COM + "task-iam-role"),
    (lambda d: d.task_role_arn and d.network_mode == "host", _COM + "task-iam-role-network-host"),
    (lambda d: d.network_mode == "awsvpc", _ECS + "task-eni"),
    (lambda d: d.network_mode == "awsvpc", _DOCKER_API + "18"),
    # On Fargate the size is that of the machine, which enforces it by itself.
    (
        lambda d: (d.cpu or d.memory) and "FARGATE" not in (d.requires_compatibilities or ()),
        _ECS + "task-cpu-mem-limit",
    ),
    (lambda d: d.pid_mode or d.ipc_mode, _ECS + "pid-ipc-namespace-sharing"),
    (lambda d: d.proxy_configuration, _ECS + "aws-appmesh"),
    (lambda d: d.inference_accelerators, _ECS + "task-eia"),
    (lambda d: d.enable_fault_injection, _ECS + "fault-injection"),
)

# Made once: nearly every task definition asks for the same few.
_ATTRIBUTES = {
    name: RequiredAttribute(name=name)
    for name in (
        *(name for _, name in _BY_CONTAINER),
        *(name for _, name in _BY_TASK),
        *(_DOCKER_API + minor for minor in ("17", "18", "19", "21", "22", "24", "25", "28", "29")),
        _COM + "logging-driver.awslogs",
        _ECS + "execution-role-awslogs",
        _COM + "ecr-auth",
        _ECS + "execution-role-ecr-pull",
    )
}
