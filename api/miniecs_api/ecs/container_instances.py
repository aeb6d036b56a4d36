"""Container instances: registering, draining, deregistering, describing.

Registration is the agent's call; the others are an operator's. What an instance has
left is never stored: it is summed from the tasks on it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from miniecs.apply import write_instance, write_task
from miniecs.control.launch import host_of
from miniecs.control.stopping import stop
from miniecs.model import arns
from miniecs.model.cluster import Cluster, IdempotencyRecord
from miniecs.model.frozen import replace
from miniecs.model.instance import Attribute, ContainerInstance, shared_attributes
from miniecs.model.task import Task
from miniecs_api import networks
from miniecs_api.context import Context
from miniecs_api.ecs import resolve
from miniecs_api.ecs.listing import ecs_page
from miniecs_api.ecs.render_instance import render_instance
from miniecs_api.ecs.tagging import to_tags
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError
from miniecs_scheduler import ExpressionError, Host, parse_expression

LATEST_AGENT = "1.105.1"
_TOKEN_LIMIT = 64
_TOKEN_LIFE = 3600.0  # for as long the ECS agent repeats a registration that nobody answered
_DESCRIBE_LIMIT = 100
_UPDATE_LIMIT = 10


@operation
def register_container_instance(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """An agent joins, or comes back: by its ARN, or by the EC2 instance id that it joined with.

    Outside of EC2 its client token is all that tells a call that is made again from another machine's.
    """
    cluster = resolve.cluster(ctx, params)
    identity = _identity(params)
    cpu, memory, ports, ports_udp, gpus = _resources(params.get("totalResources", []))
    known = _known_instance(ctx, cluster, params.get("containerInstanceArn"), identity.get("instanceId"))
    if known is None:
        known = _registered_before(ctx, cluster, params.get("clientToken"))
    if known is not None and (known.cpu, known.memory) != (cpu, memory):
        raise AwsError(
            "ClientException",
            "Container instance type changes are not supported. "
            f"Container instance {arns.name_of(known.arn)} was previously registered with "
            f"{known.cpu} CPU units and {known.memory} MiB of memory.",
        )
    version = params.get("versionInfo", {})
    external = "instanceId" not in identity
    instance = ContainerInstance(
        arn=known.arn if known else arns.container_instance(ctx.scope, cluster.name, ctx.ids.hex()),
        cluster_arn=cluster.arn,
        status=known.status if known else "ACTIVE",
        ec2_instance_id=known.ec2_instance_id
        if known
        else identity.get("instanceId", f"mi-{ctx.ids.hex(17)}"),
        agent_connected=known.agent_connected if known else False,
        agent_version=version.get("agentVersion", known.agent_version if known else None),
        agent_hash=version.get("agentHash", known.agent_hash if known else None),
        docker_version=version.get("dockerVersion", known.docker_version if known else None),
        cpu=cpu,
        memory=memory,
        ports=ports,
        ports_udp=ports_udp,
        gpus=gpus,
        attributes=_attributes(ctx, params.get("attributes", []), identity, known, external),
        capacity_provider_name=known.capacity_provider_name if known else None,
        registered_at=known.registered_at if known else ctx.now,
        private_ip=identity.get("privateIp") or (known.private_ip if known else None),
        platform_devices=tuple(params.get("platformDevices", ())),
        tags=to_tags(params["tags"]) if "tags" in params else (known.tags if known else ()),
        version=known.version if known else 1,
    )
    written = write_instance(
        ctx.tx,
        known,
        instance,
        now=ctx.now,
        because="its agent registered" if known is None else "its agent registered again",
    )
    if known is None:
        _remember_token(ctx, params.get("clientToken"), written)
    return {"containerInstance": render_instance(ctx, written)}


def _known_instance(
    ctx: Context, cluster: Cluster, arn: str | None, ec2_instance_id: str | None
) -> ContainerInstance | None:
    """The registration that this one continues: an agent without a disk is known by its EC2 instance id."""
    if arn is not None:
        known = resolve.find_instance(ctx, cluster, arn)
        if known is None:
            raise AwsError("ClientException", "The referenced container instance was not found.")
        return _active(known)
    if ec2_instance_id is None:
        return None
    same = ctx.tx.find(ContainerInstance, "machine", ec2_instance_id)
    return next((instance for instance in same if instance.cluster_arn == cluster.arn), None)


def _active(known: ContainerInstance) -> ContainerInstance:
    if known.status == "INACTIVE":
        raise AwsError("ClientException", "The referenced container instance is inactive.")
    return known


def _registered_before(ctx: Context, cluster: Cluster, token: str | None) -> ContainerInstance | None:
    """What the same call made when it came first, and its answer was lost.

    One that comes after its instance was deregistered makes no other: nobody would end that.
    """
    if token is None:
        return None
    if not 1 <= len(token) <= _TOKEN_LIMIT:
        raise AwsError("ClientException", f"clientToken must have 1 to {_TOKEN_LIMIT} characters.")
    record = ctx.tx.get(IdempotencyRecord, f"{ctx.scope}/RegisterContainerInstance/{token}")
    if record is None or record.expires_at <= ctx.now:
        return None
    made = ctx.tx.get(ContainerInstance, record.resource_arns[0])
    return _active(made) if made is not None and made.cluster_arn == cluster.arn else None


def _remember_token(ctx: Context, token: str | None, instance: ContainerInstance) -> None:
    """Of the parameters nothing is kept: who repeats a call under its token means the same one."""
    if token is not None:
        expires_at = ctx.now + _TOKEN_LIFE
        ctx.tx.put(
            IdempotencyRecord(
                ctx.scope, "RegisterContainerInstance", token, "", (instance.arn,), expires_at
            )
        )


def _identity(params: dict[str, Any]) -> Mapping[str, Any]:
    """The EC2 instance identity document; an agent outside of EC2 sends none."""
    text = params.get("instanceIdentityDocument")
    if not text:
        return {}
    try:
        document = json.loads(text)
    except ValueError as problem:
        raise AwsError("ClientException", "The instance identity document is not valid JSON.") from problem
    if not isinstance(document, dict) or not isinstance(document.get("instanceId", ""), str):
        raise AwsError("ClientException", "The instance identity document is not valid.")
    return document


def _resources(
    resources: list[dict[str, Any]],
) -> tuple[int, int, tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """CPU units, MiB, reserved TCP and UDP ports, GPU ids."""
    by_name = {resource.get("name"): resource for resource in resources}
    amounts = []
    for name in ("CPU", "MEMORY"):
        amount = by_name.get(name, {}).get("integerValue", 0)
        if amount <= 0:
            raise AwsError("ClientException", f"totalResources must say how much {name} there is.")
        amounts.append(amount)
    ports = []
    for name in ("PORTS", "PORTS_UDP"):
        values = by_name.get(name, {}).get("stringSetValue", [])
        if not all(len(value) < 6 and value.isdecimal() and int(value) < 65536 for value in values):
            raise AwsError("ClientException", f"totalResources {name} must be port numbers.")
        ports.append(tuple(sorted(int(value) for value in values)))
    gpus = tuple(by_name.get("GPU", {}).get("stringSetValue", []))
    return amounts[0], amounts[1], ports[0], ports[1], gpus


_IDENTITY_ATTRIBUTES = (
    ("ecs.ami-id", "imageId"),
    ("ecs.availability-zone", "availabilityZone"),
    ("ecs.instance-type", "instanceType"),
)


def _attributes(
    ctx: Context,
    given: list[dict[str, Any]],
    identity: Mapping[str, Any],
    known: ContainerInstance | None,
    external: bool,
) -> tuple[Attribute, ...]:
    """What the agent says, echoed whole (it checks), plus what AWS adds from the identity document.

    On re-registration the agent does not send custom attributes again: those are kept. It does send
    what it can do, and what it can no longer do is gone.
    """
    names = {attribute["name"] for attribute in given}
    values: dict[str, str | None] = {}
    for old in known.attributes if known else ():
        if "ecs.capability." not in old.name or old.name in names:
            values[old.name] = old.value
    for attribute in given:
        values[attribute["name"]] = attribute.get("value") or None
    for name, field in _IDENTITY_ATTRIBUTES:
        if identity.get(field):
            values[name] = str(identity[field])
    values.setdefault("ecs.availability-zone", f"{ctx.scope.region}a")
    if not external:
        values.setdefault("ecs.os-type", "linux")
        values |= _place(ctx, values, identity.get("subnetId"))
    return shared_attributes(values)


def _place(ctx: Context, values: Mapping[str, str | None], subnet_id: Any) -> dict[str, str]:
    """Where the instance stands. AWS asks EC2; here its document may name its subnet, which knows the VPC."""
    zone = values["ecs.availability-zone"] or f"{ctx.scope.region}a"
    named = subnet_id if isinstance(subnet_id, str) else values.get("ecs.subnet-id")
    subnet = networks.of_instance(ctx, zone, named)
    if subnet is None:
        return {}
    return {"ecs.vpc-id": subnet.vpc_id, "ecs.subnet-id": subnet.id, "ecs.availability-zone": subnet.zone}


@operation
def deregister_container_instance(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take an instance out. Tasks on it need force, and are then orphaned on their engine."""
    cluster = resolve.cluster(ctx, params)
    instance = _require(ctx, cluster, params["containerInstance"])
    tasks = ctx.tx.find(Task, "instance", instance.arn)
    if tasks and not params.get("force", False):
        raise AwsError("InvalidParameterException", "Found running tasks on the instance.")
    for task in tasks:
        stopped = stop(
            task,
            now=ctx.now,
            code="TerminationNotice",
            reason="Container instance deregistration forced by user",
        )
        write_task(ctx.tx, task, stopped, now=ctx.now, because="its container instance was deregistered")
    gone = replace(instance, status="INACTIVE", agent_connected=False, deregistered_at=ctx.now)
    written = write_instance(ctx.tx, instance, gone, now=ctx.now, because="deregistered by the user")
    return {"containerInstance": render_instance(ctx, written)}


@read_operation
def describe_container_instances(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    cluster = resolve.cluster(ctx, params)
    wanted = params["containerInstances"]
    _bounded(wanted, _DESCRIBE_LIMIT, "Container instances")
    include = params.get("include", [])
    found, failures = _find_all(ctx, cluster, wanted)
    return {
        "containerInstances": [
            render_instance(
                ctx, instance, tags="TAGS" in include, health="CONTAINER_INSTANCE_HEALTH" in include
            )
            for instance in found
        ],
        "failures": failures,
    }


@read_operation
def list_container_instances(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ARNs by status (all but INACTIVE unless told) and by a cluster query language filter."""
    cluster = resolve.cluster(ctx, params)
    status = params.get("status")
    instances = [
        instance
        for instance in ctx.tx.find(ContainerInstance, "cluster", cluster.arn)
        if (instance.status == status if status else instance.status != "INACTIVE")
    ]
    if params.get("filter"):
        instances = _filtered(ctx, cluster, instances, params["filter"])
    return ecs_page(sorted(instance.arn for instance in instances), params, "containerInstanceArns")


def _filtered(
    ctx: Context, cluster: Cluster, instances: list[ContainerInstance], text: str
) -> list[ContainerInstance]:
    try:
        expression = parse_expression(text)
    except ExpressionError as problem:
        ctx.hint(str(problem))
        raise AwsError("InvalidParameterException", f"Invalid filter expression: {problem}") from problem
    fleet = ctx.fleets.of(cluster.arn)

    def tasks(host: Host) -> tuple[int, Collection[str]]:
        return fleet.running(host.id), fleet.groups(host.id)

    hosts = [fleet.host(each.arn) or host_of(each) for each in instances]
    chosen = {host.id for host in expression.select(hosts, tasks)}
    return [instance for instance in instances if instance.arn in chosen]


@operation
def update_container_instances_state(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ACTIVE or DRAINING; the draining itself is the control loops' work."""
    cluster = resolve.cluster(ctx, params)
    status = params["status"]
    if status not in ("ACTIVE", "DRAINING"):
        raise AwsError(
            "InvalidParameterException", "Container instance status should be one of [ACTIVE, DRAINING]"
        )
    _bounded(params["containerInstances"], _UPDATE_LIMIT, "Container instances")
    found, failures = _find_all(ctx, cluster, params["containerInstances"])
    updated = []
    for instance in found:
        if instance.status not in ("ACTIVE", "DRAINING"):
            failures.append({"arn": instance.arn, "reason": "INACTIVE"})
            continue
        after = replace(instance, status=status)
        updated.append(
            write_instance(ctx.tx, instance, after, now=ctx.now, because=f"set to {status} by the user")
        )
    return {
        "containerInstances": [render_instance(ctx, instance) for instance in updated],
        "failures": failures,
    }


@operation
def update_container_agent(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """There is never a newer agent to be had here, and ECS has an error for just that."""
    cluster = resolve.cluster(ctx, params)
    instance = _require(ctx, cluster, params["containerInstance"])
    if instance.agent_version is None:
        raise AwsError(
            "MissingVersionException",
            "Amazon ECS is unable to determine the current version of the Amazon ECS container agent on the "
            "container instance and does not have enough information to proceed with an update.",
        )
    raise AwsError(
        "NoUpdateAvailableException",
        "There is no update available for this Amazon ECS container agent.",
        hint=f"{instance.agent_version} is what runs; miniecs offers no agent updates.",
    )


@read_operation
def discover_poll_endpoint(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Where an agent opens its websockets: commands (ACS) and telemetry (TCS); where it found us, that is."""
    cluster = resolve.find_cluster(ctx, params.get("cluster"))
    if cluster is None or cluster.status == "INACTIVE":
        # The operation's model has neither ClusterNotFoundException nor InvalidParameterException.
        raise AwsError("ClientException", "Cluster not found.")
    if params.get("containerInstance"):
        instance = resolve.find_instance(ctx, cluster, params["containerInstance"])
        if instance is None or instance.status == "INACTIVE":
            raise AwsError("ClientException", "The referenced container instance was not found.")
    endpoint = f"http://{ctx.host}" if ctx.host else ctx.settings.endpoint
    return {"endpoint": f"{endpoint}/acs", "telemetryEndpoint": f"{endpoint}/tcs"}


def _require(ctx: Context, cluster: Cluster, id_or_arn: str) -> ContainerInstance:
    instance = resolve.find_instance(ctx, cluster, id_or_arn)
    if instance is None or instance.status == "INACTIVE":
        raise AwsError("InvalidParameterException", "The referenced container instance was not found.")
    return instance


def _bounded(items: list[str], limit: int, what: str) -> None:
    if not items:
        raise AwsError("InvalidParameterException", f"{what} cannot be empty.")
    if len(items) > limit:
        raise AwsError("InvalidParameterException", f"{what} must have at most {limit} members.")


def _find_all(
    ctx: Context, cluster: Cluster, wanted: list[str]
) -> tuple[list[ContainerInstance], list[dict[str, Any]]]:
    found, failures = [], []
    for text in dict.fromkeys(wanted):
        instance = resolve.find_instance(ctx, cluster, text)
        if instance is None:
            failures.append({"arn": _as_arn(ctx, cluster, text), "reason": "MISSING"})
        else:
            found.append(instance)
    return found, failures


def _as_arn(ctx: Context, cluster: Cluster, text: str) -> str:
    return text if text.startswith("arn:") else arns.container_instance(ctx.scope, cluster.name, text)
