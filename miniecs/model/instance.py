"""Container instances: the machines of a cluster, as their agents register them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from miniecs.model.identity import once_for_each
from miniecs.model.scope import Tag

OWN_AGENT_HASH = "miniecs"  # what miniecs's own agent says for its build, where the ECS agent names a commit


class Attribute(NamedTuple):
    """A name and, where it has one, a value. Capabilities are names without value."""

    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ContainerInstance:
    """One container instance. Remaining resources and task counts are derived from the tasks on it."""

    arn: str
    cluster_arn: str
    status: str = "ACTIVE"  # REGISTERING REGISTRATION_FAILED ACTIVE INACTIVE DEREGISTERING DRAINING
    status_reason: str | None = None
    ec2_instance_id: str | None = None
    agent_connected: bool = False
    agent_version: str | None = None
    agent_hash: str | None = None
    docker_version: str | None = None
    agent_update_status: str | None = None
    cpu: int = 0  # CPU units
    memory: int = 0  # MiB
    ports: tuple[int, ...] = ()  # TCP ports reserved from the start
    ports_udp: tuple[int, ...] = ()
    gpus: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    capacity_provider_name: str | None = None
    registered_at: float = 0.0
    deregistered_at: float | None = None
    health_status: str | None = None
    private_ip: str | None = None  # the address on which bridge and host tasks are reached
    platform_devices: tuple[Mapping[str, Any], ...] = ()
    attachments: tuple[Mapping[str, Any], ...] = ()
    tags: tuple[Tag, ...] = ()
    version: int = 1

    def attribute(self, name: str) -> str | None:
        """The attribute's value, '' for one without value, None when the instance lacks it."""
        return self.attribute_values.get(name)

    @property
    def attribute_values(self) -> Mapping[str, str]:
        """Name -> value of its attributes, '' where there is none."""
        return _values(self.attributes)

    @property
    def has_amazons_agent(self) -> bool:
        """Whether Amazon's own ECS agent is, or was last, connected. Before it is nobody knows."""
        return self.agent_hash not in (None, OWN_AGENT_HASH)

    @property
    def availability_zone(self) -> str | None:
        return self.attribute("ecs.availability-zone")


# Some 60 attributes are the same on every host: what is made of them is one object for all that are alike.


def shared_attributes(values: Mapping[str, str | None]) -> tuple[Attribute, ...]:
    """Attributes by their names and values, as every instance that has the same ones has them."""
    return _same(tuple([_attribute(name, value) for name, value in values.items()]))


@lru_cache(maxsize=4096)
def _attribute(name: str, value: str | None) -> Attribute:
    return Attribute(name, value)


@lru_cache(maxsize=4096)
def _same(attributes: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    return attributes


@once_for_each(most=10_000)
def _values(attributes: tuple[Attribute, ...]) -> Mapping[str, str]:
    return _by_name(attributes)


@lru_cache(maxsize=4096)
def _by_name(attributes: tuple[Attribute, ...]) -> Mapping[str, str]:
    return {attribute.name: attribute.value or "" for attribute in attributes}
