"""Container definitions: what one container of a task is made from.

Names, nesting and types are those of the API's ContainerDefinition structure (a test holds
them to botocore's model), so that what was registered is what is stored and answered.
Units: cpu in CPU units (1024 = one vCPU), memory in MiB, times in seconds.
"""

from __future__ import annotations

from typing import Literal

from miniecs.model.document import Document


class KeyValuePair(Document):
    name: str | None = None
    value: str | None = None


class RepositoryCredentials(Document):
    credentials_parameter: str


class PortMapping(Document):
    """host_port 0: a dynamic one (bridge). Exactly one of container_port and container_port_range is set."""

    container_port: int | None = None
    host_port: int | None = None
    protocol: Literal["tcp", "udp"] = "tcp"
    name: str | None = None
    app_protocol: Literal["http", "http2", "grpc"] | None = None
    container_port_range: str | None = None


class ContainerRestartPolicy(Document):
    enabled: bool
    ignored_exit_codes: tuple[int, ...] | None = None
    restart_attempt_period: int | None = None


class EnvironmentFile(Document):
    value: str
    type: Literal["s3"]


class MountPoint(Document):
    source_volume: str | None = None
    container_path: str | None = None
    read_only: bool | None = None


class VolumeFrom(Document):
    source_container: str | None = None
    read_only: bool | None = None


class KernelCapabilities(Document):
    add: tuple[str, ...] | None = None
    drop: tuple[str, ...] | None = None


class Device(Document):
    host_path: str
    container_path: str | None = None
    permissions: tuple[Literal["read", "write", "mknod"], ...] | None = None


class Tmpfs(Document):
    """size in MiB."""

    container_path: str
    size: int
    mount_options: tuple[str, ...] | None = None


class LinuxParameters(Document):
    """shared_memory_size and max_swap in MiB."""

    capabilities: KernelCapabilities | None = None
    devices: tuple[Device, ...] | None = None
    init_process_enabled: bool | None = None
    shared_memory_size: int | None = None
    tmpfs: tuple[Tmpfs, ...] | None = None
    max_swap: int | None = None
    swappiness: int | None = None


class Secret(Document):
    name: str
    value_from: str


class ContainerDependency(Document):
    container_name: str
    condition: Literal["START", "COMPLETE", "SUCCESS", "HEALTHY"]


class HostEntry(Document):
    hostname: str
    ip_address: str


class Ulimit(Document):
    name: str
    soft_limit: int
    hard_limit: int


class LogConfiguration(Document):
    log_driver: str
    options: dict[str, str] | None = None
    secret_options: tuple[Secret, ...] | None = None


class HealthCheck(Document):
    """ECS answers the defaults of what was left out: 30 s, 5 s, 3 retries; start_period has none."""

    command: tuple[str, ...]
    interval: int = 30
    timeout: int = 5
    retries: int = 3
    start_period: int | None = None


class SystemControl(Document):
    namespace: str | None = None
    value: str | None = None


class NvidiaMpsAllocation(Document):
    memory: int
    max_compute_percent: int | None = None


class SharingStrategy(Document):
    nvidia_mps: NvidiaMpsAllocation | None = None


class ResourceRequirement(Document):
    type: Literal["GPU", "InferenceAccelerator", "NeuronDevice"]
    value: str | None = None
    sharing_strategy: SharingStrategy | None = None


class FirelensConfiguration(Document):
    type: Literal["fluentd", "fluentbit"]
    options: dict[str, str] | None = None


class ContainerDefinition(Document):
    """One container. Members with a default other than None are those that ECS answers unasked."""

    name: str
    image: str
    repository_credentials: RepositoryCredentials | None = None
    cpu: int = 0
    memory: int | None = None
    memory_reservation: int | None = None
    links: tuple[str, ...] | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    essential: bool = True
    restart_policy: ContainerRestartPolicy | None = None
    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[KeyValuePair, ...] = ()
    environment_files: tuple[EnvironmentFile, ...] | None = None
    mount_points: tuple[MountPoint, ...] = ()
    volumes_from: tuple[VolumeFrom, ...] = ()
    linux_parameters: LinuxParameters | None = None
    secrets: tuple[Secret, ...] | None = None
    depends_on: tuple[ContainerDependency, ...] | None = None
    start_timeout: int | None = None
    stop_timeout: int | None = None
    version_consistency: Literal["enabled", "disabled"] | None = None
    hostname: str | None = None
    user: str | None = None
    working_directory: str | None = None
    disable_networking: bool | None = None
    privileged: bool | None = None
    readonly_root_filesystem: bool | None = None
    dns_servers: tuple[str, ...] | None = None
    dns_search_domains: tuple[str, ...] | None = None
    extra_hosts: tuple[HostEntry, ...] | None = None
    docker_security_options: tuple[str, ...] | None = None
    interactive: bool | None = None
    pseudo_terminal: bool | None = None
    docker_labels: dict[str, str] | None = None
    ulimits: tuple[Ulimit, ...] | None = None
    log_configuration: LogConfiguration | None = None
    health_check: HealthCheck | None = None
    system_controls: tuple[SystemControl, ...] = ()
    resource_requirements: tuple[ResourceRequirement, ...] | None = None
    firelens_configuration: FirelensConfiguration | None = None
    credential_specs: tuple[str, ...] | None = None
