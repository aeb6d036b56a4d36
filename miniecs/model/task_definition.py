"""Task definitions: a family's numbered, immutable descriptions of a task, and the family itself.

A task definition is the document that its user registered, normalised as ECS answers it;
a family remembers which revision numbers it has given, since none is ever given twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from miniecs.model.container_definition import ContainerDefinition, KeyValuePair
from miniecs.model.document import Document, named
from miniecs.model.scope import Scope, Tag


class HostVolume(Document):
    """source_path None: a directory that the agent assigns."""

    source_path: str | None = None


class DockerVolumeConfiguration(Document):
    scope: Literal["task", "shared"] = "task"
    autoprovision: bool | None = None
    driver: str | None = None
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class EfsAuthorizationConfig(Document):
    access_point_id: str | None = None
    iam: Literal["ENABLED", "DISABLED"] | None = None


class EfsVolumeConfiguration(Document):
    file_system_id: str
    root_directory: str | None = None
    transit_encryption: Literal["ENABLED", "DISABLED"] | None = None
    transit_encryption_port: int | None = None
    authorization_config: EfsAuthorizationConfig | None = None


class S3FilesVolumeConfiguration(Document):
    file_system_arn: str
    root_directory: str | None = None
    transit_encryption_port: int | None = None
    access_point_arn: str | None = None


class FsxAuthorizationConfig(Document):
    credentials_parameter: str
    domain: str


class FsxVolumeConfiguration(Document):
    file_system_id: str
    root_directory: str
    authorization_config: FsxAuthorizationConfig


class Volume(Document):
    """A volume of the task; at most one of the configurations is set."""

    name: str
    host: HostVolume | None = None
    docker_volume_configuration: DockerVolumeConfiguration | None = None
    efs_volume_configuration: EfsVolumeConfiguration | None = None
    s3files_volume_configuration: S3FilesVolumeConfiguration | None = named(
        "s3filesVolumeConfiguration", default=None
    )
    fsx_windows_file_server_volume_configuration: FsxVolumeConfiguration | None = None
    configured_at_launch: bool | None = None


class PlacementConstraint(Document):
    type: Literal["memberOf"]
    expression: str | None = None


class RequiredAttribute(Document):
    """What a container instance must have to run the task. Capabilities have no value."""

    name: str
    value: str | None = None
    target_type: str | None = None
    target_id: str | None = None


class RuntimePlatform(Document):
    cpu_architecture: Literal["X86_64", "ARM64"] | None = None
    operating_system_family: str | None = None


class InferenceAccelerator(Document):
    device_name: str
    device_type: str


class ProxyConfiguration(Document):
    container_name: str
    type: Literal["APPMESH"] | None = None
    properties: tuple[KeyValuePair, ...] | None = None


class EphemeralStorage(Document):
    size_in_gib: int = named("sizeInGiB")


class TrustedExecutionConfiguration(Document):
    isolation_mode: Literal["SHARED", "ISOLATED_SANDBOX", "CONFIDENTIAL_SANDBOX"]
    attestation_policy: str | None = None


class TaskDefinition(Document):
    """One revision of a family. cpu and memory are decimal strings (CPU units, MiB) or None."""

    arn: str = named("taskDefinitionArn")
    container_definitions: tuple[ContainerDefinition, ...]
    family: str
    task_role_arn: str | None = None
    execution_role_arn: str | None = None
    network_mode: Literal["bridge", "host", "awsvpc", "none"] = "bridge"
    revision: int
    volumes: tuple[Volume, ...] = ()
    status: Literal["ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"] = "ACTIVE"
    requires_attributes: tuple[RequiredAttribute, ...] = ()
    placement_constraints: tuple[PlacementConstraint, ...] = ()
    compatibilities: tuple[str, ...] = ()
    runtime_platform: RuntimePlatform | None = None
    requires_compatibilities: tuple[str, ...] | None = None
    cpu: str | None = None
    memory: str | None = None
    inference_accelerators: tuple[InferenceAccelerator, ...] | None = None
    pid_mode: Literal["host", "task"] | None = None
    ipc_mode: Literal["host", "task", "none"] | None = None
    proxy_configuration: ProxyConfiguration | None = None
    registered_at: float | None = None
    deregistered_at: float | None = None
    delete_requested_at: float | None = None
    registered_by: str | None = None
    ephemeral_storage: EphemeralStorage | None = None
    enable_fault_injection: bool | None = None
    trusted_execution_configuration: TrustedExecutionConfiguration | None = None
    tags: tuple[Tag, ...] = ()

    def wire(self) -> dict[str, Any]:
        """The API's TaskDefinition structure; the API answers tags beside it, not in it."""
        shown = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        del shown["tags"]  # cheaper than to exclude them
        return shown

    @property
    def family_revision(self) -> str:
        return f"{self.family}:{self.revision}"

    def container(self, name: str) -> ContainerDefinition | None:
        for container in self.container_definitions:
            if container.name == name:
                return container
        return None


@dataclass(frozen=True, slots=True)
class TaskDefinitionFamily:
    """A family: the last revision number it gave, and its newest ACTIVE revision (None: it has none)."""

    scope: Scope
    name: str
    last_revision: int = 0
    latest_active: int | None = None

    @property
    def key(self) -> str:
        return f"{self.scope}/{self.name}"
