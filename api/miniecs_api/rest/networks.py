"""EC2's networks and the store's kept one: what EC2 calls make is mirrored, what was adopted is told to moto.

Operations look at the store alone, in their transaction, so nothing is asked of moto while one runs, and moto
is started by nobody but its own callers. An EC2 call that may have changed something is answered only after
what it changed is in the store.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from miniecs.model.cluster import Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import LoadBalancer
from miniecs.model.network import SecurityGroup, Subnet, Vpc, default_vpc_id, network_key
from miniecs.model.scope import Scope
from miniecs.model.task import Task
from miniecs.store import Reader, Store, Transaction
from miniecs_api.networks import begin
from miniecs_api.wire import query
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.protocols import Headers

Reply = tuple[int, Headers, bytes]

_READS = ("Describe", "Get", "List", "Search")


class Forwards(Protocol):
    """moto, as far as it is needed here (miniecs_api.rest.client)."""

    async def forward(
        self, method: str, path: str, query: str, headers: Headers, body: bytes, scope: Scope
    ) -> Reply: ...

    async def tell_networks(self, scope: Scope, adopted: Mapping[str, Any]) -> dict[str, Any]: ...

    async def reset(self) -> None: ...

    async def close(self) -> None: ...


class RestOfAws:
    """moto behind the door (miniecs_api.door.RestOfAws), with its networks and the store's in step."""

    def __init__(self, moto: Forwards, store: Store) -> None:
        self._moto = moto
        self._store = store
        self._one_at_a_time = asyncio.Lock()
        self._told: defaultdict[Scope, set[str]] = defaultdict(set)
        self._in_step: set[Scope] = set()

    async def forward(
        self, service: str, method: str, path: str, asked: str, headers: Headers, body: bytes, scope: Scope
    ) -> Reply:
        if service != "ec2":
            return await self._moto.forward(method, path, asked, headers, body, scope)
        call = query.form(asked.encode("latin-1")) | query.form(body)
        action = call.get("Action", "")
        if refusal := _refuse_in_use(self._store, scope, action, call):
            raise refusal
        if scope not in self._in_step or self._untold(scope):
            await self._keep_in_step(scope)
        reply = await self._moto.forward(method, path, asked, headers, body, scope)
        if not action.startswith(_READS):
            await self._keep_in_step(scope)
        return reply

    async def reset(self) -> None:
        """Forget everything. The store is wiped by the caller."""
        async with self._one_at_a_time:
            self._told.clear()
            self._in_step.clear()
            await self._moto.reset()

    async def close(self) -> None:
        await self._moto.close()

    def _untold(self, scope: Scope) -> bool:
        return any(thing.key not in self._told[scope] for thing in _adopted(self._store, scope))

    async def _keep_in_step(self, scope: Scope) -> None:
        """Tell moto what was adopted, and write down what it has."""
        async with self._one_at_a_time:
            told = self._told[scope]
            untold = [thing for thing in _adopted(self._store, scope) if thing.key not in told]
            everything = await self._moto.tell_networks(scope, _as_told(untold))
            told.update(thing.key for thing in untold)
            with self._store.transaction() as tx:
                _mirror(tx, scope, everything, told)
            # What was deleted may be adopted again.
            told.intersection_update(thing.key for thing in _adopted(self._store, scope))
            self._in_step.add(scope)


def _adopted(store: Reader, scope: Scope) -> Iterable[Subnet | SecurityGroup]:
    yield from (subnet for subnet in store.find(Subnet, "scope", scope) if not subnet.made)
    yield from (group for group in store.find(SecurityGroup, "scope", scope) if not group.made)


def _as_told(adopted: Iterable[Subnet | SecurityGroup]) -> dict[str, Any]:
    subnets, groups = [], []
    for thing in adopted:
        if isinstance(thing, Subnet):
            subnets.append({"id": thing.id, "vpc": thing.vpc_id, "zone": thing.zone})
        else:
            groups.append({"id": thing.id, "vpc": thing.vpc_id})
    return {"subnets": subnets, "groups": groups}


def _mirror(tx: Transaction, scope: Scope, everything: Mapping[str, Any], told: set[str]) -> None:
    """Add what moto has and the store has not, and remove what moto has no more.

    What was adopted meanwhile is not moto's to remove, nor is a subnet in which a task runs.
    """
    begin(tx, scope)
    for vpc in everything["vpcs"]:
        if tx.get(Vpc, network_key(scope, vpc["id"])) is None:
            tx.put(Vpc(scope, vpc["id"]))
    for subnet in everything["subnets"]:
        if tx.get(Subnet, network_key(scope, subnet["id"])) is None:
            tx.put(Subnet(scope, subnet["id"], subnet["vpc"], subnet["zone"], made=True))
    for group in everything["groups"]:
        if tx.get(SecurityGroup, network_key(scope, group["id"])) is None:
            tx.put(SecurityGroup(scope, group["id"], group["vpc"], group["name"], made=True))
    there = {each["id"] for kind in ("vpcs", "subnets", "groups") for each in everything[kind]}
    parts: list[Subnet | SecurityGroup] = [*tx.find(Subnet, "scope", scope)]
    parts += tx.find(SecurityGroup, "scope", scope)
    for mine in parts:
        if mine.id not in there and (mine.made or mine.key in told) and not tx.find(Task, "subnet", mine.key):
            tx.delete(type(mine), mine.key)
    for own in tx.find(Vpc, "scope", scope):
        if own.id not in there and not tx.find(Subnet, "vpc", own.key):
            tx.delete(Vpc, own.key)


def _refuse_in_use(store: Reader, scope: Scope, action: str, call: Mapping[str, str]) -> AwsError | None:
    """EC2's refusal to delete a subnet or a group that something of ours has an interface in."""
    if action == "DeleteSubnet":
        id = call.get("SubnetId", "")
        users = _users_of_subnet(store, scope, id)
        message = f"The subnet '{id}' has dependencies and cannot be deleted."
    elif action == "DeleteSecurityGroup":
        id = call.get("GroupId") or _group_named(store, scope, call.get("GroupName", ""))
        users = _users_of_group(store, scope, id)
        message = f"resource {id} has a dependent object"
    else:
        return None
    if not users or call.get("DryRun") == "true":
        return None
    return AwsError("DependencyViolation", message, hint=f"{id} is used by {', '.join(users)}.")


def _group_named(store: Reader, scope: Scope, name: str) -> str:
    """Only groups of the default VPC can be named. Source: API reference, DeleteSecurityGroup."""
    groups = store.find(SecurityGroup, "vpc", network_key(scope, default_vpc_id(scope)))
    return next((group.id for group in groups if group.name == name), "")


def _users_of_subnet(store: Reader, scope: Scope, id: str) -> list[str]:
    balancers = store.find(LoadBalancer, "scope", scope)
    users = [b.arn for b in balancers if any(subnet.subnet_id == id for subnet in b.subnets)]
    for cluster in store.find(Cluster, "scope", scope):
        for instance in store.find(ContainerInstance, "cluster", cluster.arn):
            if instance.status != "INACTIVE" and instance.attribute("ecs.subnet-id") == id:
                users.append(instance.arn)
    return users + [task.arn for task in store.find(Task, "subnet", network_key(scope, id))]


def _users_of_group(store: Reader, scope: Scope, id: str) -> list[str]:
    users = [b.arn for b in store.find(LoadBalancer, "scope", scope) if id in b.security_groups]
    for subnet in store.find(Subnet, "scope", scope):
        for task in store.find(Task, "subnet", subnet.key):
            configuration = (task.network_configuration or {}).get("awsvpcConfiguration", {})
            if id in configuration.get("securityGroups", ()):
                users.append(task.arn)
    return users
