"""Task definitions of a cluster file, as those that are registered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from miniecs.control.launch import demand_of
from miniecs.model import arns
from miniecs.model.container_definition import PortMapping, ResourceRequirement
from miniecs.model.scope import Scope
from miniecs.model.task_definition import TaskDefinition
from miniecs.planning.cluster_file import PlannedContainer, TaskDefinitionSpec
from miniecs.planning.text import Mistake, within
from miniecs.planning.validate import nearest


def definitions_of(specs: Iterable[TaskDefinitionSpec], scope: Scope) -> dict[str, TaskDefinition]:
    """Task definitions by family:revision. Raises Mistake."""
    found: dict[str, TaskDefinition] = {}
    last: dict[str, int] = {}
    for n, spec in enumerate(specs):
        with within("taskDefinitions", n):
            definition = definition_of(spec, scope, revision=spec.revision or last.get(spec.family, 0) + 1)
            last[spec.family] = max(definition.revision, last.get(spec.family, 0))
            if definition.family_revision in found:
                raise Mistake(f"task definition {definition.family_revision} is described twice")
            found[definition.family_revision] = definition
    return found


def definition_of(spec: TaskDefinitionSpec, scope: Scope, *, revision: int) -> TaskDefinition:
    """One task definition with its containers. Raises Mistake for one without memory."""
    values = {name: getattr(spec, name) for name in TaskDefinition.model_fields}
    values["container_definitions"] = spec.container_definitions or (_container(spec),)
    values |= {"revision": revision, "registered_at": None, "deregistered_at": None}
    values["arn"] = spec.arn or arns.task_definition(scope, spec.family, revision)
    definition = TaskDefinition.model_construct(**values)
    if demand_of(definition).memory <= 0:
        raise Mistake(
            f"task definition {definition.family_revision} says no memory: give memory to the task, "
            "or memory or memoryReservation to its containers"
        )
    return definition


def _container(spec: TaskDefinitionSpec) -> PlannedContainer:
    return PlannedContainer(
        name=spec.family,
        port_mappings=tuple(
            PortMapping(container_port=port, host_port=port, protocol="udp" if protocol == "udp" else "tcp")
            for protocol, port in spec.host_ports
        ),
        resource_requirements=(ResourceRequirement(type="GPU", value=str(spec.gpus)),) if spec.gpus else None,
    )


def find_definition(definitions: Mapping[str, TaskDefinition], name: str) -> TaskDefinition:
    """By family (its newest), family:revision or ARN. Raises Mistake."""
    short = arns.name_of(name) if name.startswith("arn:") else name
    if short in definitions:
        return definitions[short]
    revisions = [each for each in definitions.values() if each.family == short]
    if revisions:
        return max(revisions, key=lambda each: each.revision)
    meant = nearest(short, [*definitions, *(each.family for each in definitions.values())])
    hint = f"; did you mean {meant}?" if meant else f"; there are {', '.join(definitions) or 'none'}"
    raise Mistake(f"there is no task definition {name}{hint}")
