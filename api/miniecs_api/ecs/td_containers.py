"""The rules that one container definition must keep by itself, with ECS's words where they are known."""

from __future__ import annotations

import re
from typing import NoReturn

from miniecs.model.container_definition import (
    ContainerDefinition,
    LinuxParameters,
    PortMapping,
    Secret,
)
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.ecs.td_normal import refuse

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_IMAGE = re.compile(r"[A-Za-z0-9_\-:./#]{1,255}(@sha256:[A-Fa-f0-9]{64})?")
_PORT_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
_PORT_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
GPUS = re.compile(r"[1-9][0-9]{0,3}")
NOT_GPUS = "The value of resource requirement GPU must be a positive number or ALL."
_ENV_FILE = re.compile(r"arn:aws[a-z-]*:s3:::[^/]+/.+\.env")

_MAX_CPU = 262_144  # Docker's most CPU shares
_MIN_MEMORY = 6  # MiB, Docker's least
_MAX_PORT = 65_535
_MAX_PORT_RANGE = 100
_MAX_ENV_FILES = 10
_MAX_IGNORED_EXIT_CODES = 50
_CAPABILITIES = frozenset(
    "ALL AUDIT_CONTROL AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK "
    "IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE "
    "NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE "
    "SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM".split()
)
_MOUNT_OPTIONS = frozenset(
    "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount mand nomand atime noatime "
    "diratime nodiratime bind rbind unbindable runbindable private rprivate shared rshared slave rslave "
    "relatime norelatime strictatime nostrictatime mode uid gid nr_inodes nr_blocks mpol".split()
)
_IPC_SYSCTLS = frozenset(
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni "
    "kernel.shm_rmid_forced".split()
)


def check_container(container: ContainerDefinition, definition: TaskDefinition) -> None:
    """Raise ClientException for the first rule that the container breaks."""
    if not NAME.fullmatch(container.name):
        refuse("Container.name contains invalid characters")
    if not _IMAGE.fullmatch(container.image):
        refuse("Container.image contains invalid characters")
    _check_size(container)
    for mapping in container.port_mappings:
        _check_port(container, mapping, definition.network_mode)
    _check_networking(container, definition.network_mode)
    if container.environment or container.secrets or container.environment_files:
        _check_environment(container)
    _check_log_configuration(container)
    if container.health_check is not None:
        _check_health_check(container)
    if container.restart_policy is not None:
        _check_restart_policy(container)
    if container.linux_parameters is not None:
        _check_linux_parameters(container, container.linux_parameters)
    _check_lesser(container, definition)


def bad(container: ContainerDefinition, setting: str) -> NoReturn:
    refuse(f"Invalid '{setting}' setting for container '{container.name}'.")


def because(container: ContainerDefinition, why: str) -> NoReturn:
    refuse(f"Invalid setting for container '{container.name}'. {why}")


def between(container: ContainerDefinition, setting: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        because(container, f"'{setting}' must be between {low} and {high}.")


def _check_size(container: ContainerDefinition) -> None:
    if not 0 <= container.cpu <= _MAX_CPU:
        bad(container, "cpu")
    hard, soft = container.memory, container.memory_reservation
    if hard is not None and hard < _MIN_MEMORY:
        bad(container, "memory")
    if soft is not None and soft < _MIN_MEMORY:
        bad(container, "memoryReservation")
    if hard is not None and soft is not None and hard <= soft:
        because(container, "'memory' must be greater than 'memoryReservation' when both are specified.")


def _check_port(container: ContainerDefinition, mapping: PortMapping, mode: str) -> None:
    if mapping.container_port_range is not None:
        _check_port_range(container, mapping, mapping.container_port_range, mode)
    elif mapping.container_port is None or not 1 <= mapping.container_port <= _MAX_PORT:
        bad(container, "containerPort")
    if mapping.host_port is not None and not 0 <= mapping.host_port <= _MAX_PORT:
        bad(container, "hostPort")
    if mapping.name is not None and not _PORT_NAME.fullmatch(mapping.name):
        because(
            container,
            "The name of a port mapping can have up to 64 lowercase letters, numbers, underscores (_), and "
            "hyphens (-), and can't start with a hyphen.",
        )
    if mapping.app_protocol is not None and mapping.protocol == "udp":
        because(container, "'appProtocol' is not supported for port mappings with protocol udp.")


def _check_port_range(container: ContainerDefinition, mapping: PortMapping, text: str, mode: str) -> None:
    if mapping.container_port is not None or mapping.host_port is not None:
        because(container, "'containerPort' and 'hostPort' can't be specified with 'containerPortRange'.")
    if mode not in ("bridge", "awsvpc"):
        because(container, "'containerPortRange' requires networkMode bridge or awsvpc.")
    found = _PORT_RANGE.fullmatch(text)
    if found is None:
        bad(container, "containerPortRange")
    first, last = int(found[1]), int(found[2])
    if not 1 <= first <= last <= _MAX_PORT:
        bad(container, "containerPortRange")
    if last - first >= _MAX_PORT_RANGE:
        because(container, f"'containerPortRange' can have at most {_MAX_PORT_RANGE} ports.")


def _check_networking(container: ContainerDefinition, mode: str) -> None:
    if mode == "bridge":
        return
    if container.links:
        refuse(f"Links are not supported when networkMode={mode}.")
    if mode == "none":
        if container.port_mappings:
            refuse("Port mappings are not supported when networkMode=none.")
        return
    if any(m.container_port is not None and m.host_port != m.container_port for m in container.port_mappings):
        refuse(
            f"When networkMode={mode}, the host ports and container ports in port mappings must match."
        )
    if mode == "awsvpc":
        if container.hostname:
            refuse("Hostname is not supported when networkMode=awsvpc.")
        if container.extra_hosts:
            refuse("ExtraHosts is not supported when networkMode=awsvpc.")
        if container.dns_servers:
            refuse("DnsServers is not supported when networkMode=awsvpc.")


def _check_environment(container: ContainerDefinition) -> None:
    taken: set[str] = set()
    for pair in container.environment:
        if not pair.name:
            because(container, "The name of an environment variable must not be null or empty.")
        taken.add(pair.name)
    for secret in container.secrets or ():
        _check_secret(container, secret)
        if secret.name in taken:
            refuse(
                "The secret name must be unique and not shared with any new or existing environment "
                f"variables set on the container, such as '{secret.name}'."
            )
        taken.add(secret.name)
    files = container.environment_files or ()
    if len(files) > _MAX_ENV_FILES:
        because(container, f"At most {_MAX_ENV_FILES} environment files can be specified.")
    for file in files:
        if not _ENV_FILE.fullmatch(file.value):
            because(container, "An environment file must be the ARN of an S3 object that ends in .env.")


def _check_secret(container: ContainerDefinition, secret: Secret) -> None:
    """valueFrom is the ARN of a secret or parameter, or the name of a parameter."""
    if not secret.name:
        because(container, "The name of a secret must not be null or empty.")
    parts = secret.value_from.split(":")
    if not secret.value_from or (parts[0] == "arn" and parts[2:3] not in (["ssm"], ["secretsmanager"])):
        because(
            container,
            f"The valueFrom of secret '{secret.name}' must be a parameter of Systems Manager or a secret "
            "of Secrets Manager.",
        )


def _check_log_configuration(container: ContainerDefinition) -> None:
    logging, firelens = container.log_configuration, container.firelens_configuration
    if logging is not None:
        options = logging.options or {}
        if logging.log_driver == "awslogs" and not (
            options.get("awslogs-region") and options.get("awslogs-group")
        ):
            refuse("Log driver awslogs requires options: awslogs-region, awslogs-group")
        for secret in logging.secret_options or ():
            _check_secret(container, secret)
    if firelens is not None:
        source = (firelens.options or {}).get("config-file-type")
        if source not in (None, "s3", "file"):
            because(container, "The firelensConfiguration option config-file-type must be s3 or file.")
        if (source is None) != ("config-file-value" not in (firelens.options or {})):
            because(
                container,
                "The firelensConfiguration options config-file-type and config-file-value go together.",
            )
        if logging is not None and logging.log_driver == "awsfirelens":
            because(container, "A log router cannot send its own logs to awsfirelens.")


def _check_health_check(container: ContainerDefinition) -> None:
    check = container.health_check
    assert check is not None
    if len(check.command) < 2 or check.command[0] not in ("CMD", "CMD-SHELL"):
        because(
            container, "The health check command must start with CMD or CMD-SHELL and name what to run."
        )
    if check.command[0] == "CMD-SHELL" and len(check.command) > 2:
        because(container, "A CMD-SHELL health check takes one string, the shell's command line.")
    between(container, "healthCheck.interval", check.interval, 5, 300)
    between(container, "healthCheck.timeout", check.timeout, 2, 60)
    between(container, "healthCheck.retries", check.retries, 1, 10)
    between(container, "healthCheck.startPeriod", check.start_period, 0, 300)


def _check_restart_policy(container: ContainerDefinition) -> None:
    policy = container.restart_policy
    assert policy is not None
    if len(policy.ignored_exit_codes or ()) > _MAX_IGNORED_EXIT_CODES:
        because(container, f"At most {_MAX_IGNORED_EXIT_CODES} ignored exit codes can be specified.")
    between(container, "restartPolicy.restartAttemptPeriod", policy.restart_attempt_period, 60, 1800)


def _check_linux_parameters(container: ContainerDefinition, linux: LinuxParameters) -> None:
    between(container, "linuxParameters.swappiness", linux.swappiness, 0, 100)
    if linux.max_swap is not None and linux.max_swap < 0:
        because(container, "'linuxParameters.maxSwap' must be 0 or a positive integer.")
    if linux.shared_memory_size is not None and linux.shared_memory_size <= 0:
        because(container, "'linuxParameters.sharedMemorySize' must be a positive integer.")
    if linux.capabilities is not None:
        for name in (*(linux.capabilities.add or ()), *(linux.capabilities.drop or ())):
            if name not in _CAPABILITIES:
                because(container, f"'{name}' is not a capability of the Linux kernel.")
    for tmpfs in linux.tmpfs or ():
        if tmpfs.size <= 0:
            because(container, "The size of a tmpfs must be a positive integer.")
        for option in tmpfs.mount_options or ():
            if option.partition("=")[0] not in _MOUNT_OPTIONS:
                because(container, f"'{option}' is not a mount option of a tmpfs.")


def _check_lesser(container: ContainerDefinition, definition: TaskDefinition) -> None:
    for ulimit in container.ulimits or ():
        hard = ulimit.hard_limit
        if hard != -1 and (ulimit.soft_limit == -1 or ulimit.soft_limit > hard):
            because(
                container, f"The soft limit of ulimit '{ulimit.name}' must not be above its hard limit."
            )
    if container.start_timeout is not None and container.start_timeout < 0:
        bad(container, "startTimeout")
    if container.stop_timeout is not None and container.stop_timeout < 0:
        bad(container, "stopTimeout")
    for control in container.system_controls:
        if not control.namespace or not control.value:
            because(container, "A system control needs a namespace and a value.")
        _check_sysctl(container, control.namespace or "", definition)
    for requirement in container.resource_requirements or ():
        _check_resource(container, requirement.type, requirement.value, definition)
        if requirement.sharing_strategy is not None and (requirement.type != "GPU" or requirement.value):
            because(container, "A sharing strategy goes with type GPU and without a value.")
        if requirement.sharing_strategy is None and not requirement.value:
            because(container, f"The resource requirement {requirement.type} needs a value.")
    if len(container.credential_specs or ()) > 1:
        because(container, "At most one credential spec can be specified.")


def _check_sysctl(container: ContainerDefinition, name: str, definition: TaskDefinition) -> None:
    ipc = name in _IPC_SYSCTLS or name.startswith("fs.mqueue.")
    if not ipc and not name.startswith("net."):
        because(container, f"The system control '{name}' is not namespaced.")
    if ipc and definition.ipc_mode == "host":
        because(container, f"The system control '{name}' is not supported with ipcMode host.")
    if not ipc and definition.network_mode == "host":
        because(container, f"The system control '{name}' is not supported with networkMode host.")


def _check_resource(
    container: ContainerDefinition, type: str, value: str | None, definition: TaskDefinition
) -> None:
    if not value:
        return
    if type == "GPU" and value != "ALL" and not GPUS.fullmatch(value):
        because(container, NOT_GPUS)
    if type == "NeuronDevice" and value != "ALL":
        because(container, "The value of resource requirement NeuronDevice must be ALL.")
    if type == "InferenceAccelerator":
        devices = {device.device_name for device in definition.inference_accelerators or ()}
        if value not in devices:
            because(container, f"'{value}' is not one of the task's inference accelerators.")
