"""The rules of placement written down without any cleverness: what the scheduler's answers are held against.

Every host is looked at for every task. Nothing here uses the index, the cursors or the overlay: only
the public values, the compiled query language (which has tests of its own) and the definition of chance.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from miniecs_scheduler import SERVICE_DEFAULT, Host, Request, Resources, Strategy, parse_expression
from miniecs_scheduler.ties import RING_MASK, draw, ring_position, ring_start

DRAWS = 32


@dataclass
class Model:
    """Hosts, and tasks as (host id, demand, group) by task id; one that is being stopped has no group."""

    hosts: dict[str, Host] = field(default_factory=dict)
    tasks: dict[str, tuple[str, Resources, str | None]] = field(default_factory=dict)

    def on(self, host_id: str) -> list[tuple[Resources, str | None]]:
        return [(demand, group) for where, demand, group in self.tasks.values() if where == host_id]

    def free(self, host: Host) -> Resources:
        here = [demand for demand, _ in self.on(host.id)]
        offered = host.capacity
        return Resources(
            offered.cpu - sum(d.cpu for d in here),
            offered.memory - sum(d.memory for d in here),
            offered.gpu - sum(d.gpu for d in here),
            offered.enis - sum(d.enis for d in here),
            offered.tcp_ports.union(*(d.tcp_ports for d in here)),
            offered.udp_ports.union(*(d.udp_ports for d in here)),
        )

    def groups(self, host_id: str) -> list[str]:
        return [group for _, group in self.on(host_id) if group is not None]


def reasons(model: Model, request: Request, host: Host) -> list[str]:
    """Every check that the host fails, in ECS's words and in the order of checking."""
    free, demand = model.free(host), request.demand
    groups = model.groups(host.id)
    found = []
    if not host.active:
        found.append("INACTIVE")
    if not host.connected:
        found.append("AGENT")
    if lacks_attributes(request, host):
        found.append("ATTRIBUTE")
    if demand.cpu and demand.cpu > free.cpu:
        found.append("RESOURCE:CPU")
    if demand.memory and demand.memory > free.memory:
        found.append("RESOURCE:MEMORY")
    if demand.tcp_ports & free.tcp_ports or demand.udp_ports & free.udp_ports:
        found.append("RESOURCE:PORTS")
    if demand.gpu and demand.gpu > free.gpu:
        found.append("RESOURCE:GPU")
    if demand.enis and demand.enis > free.enis:
        found.append("RESOURCE:ENI")
    queries = [c.expression for c in request.constraints if c.type == "memberOf"]
    if not all(parse_expression(query).matches(host, len(groups), groups) for query in queries):
        found.append("MemberOf placement constraint unsatisfied.")
    if any(c.type == "distinctInstance" for c in request.constraints) and request.group in groups:
        found.append("DistinctInstance placement constraint unsatisfied.")
    return found


def lacks_attributes(request: Request, host: Host) -> bool:
    attributes = host.attributes
    return any(
        attributes.get(name) is None or value not in (None, attributes[name])
        for name, value in request.required_attributes
    )


def excluded_by(request: Request, host: Host) -> str:
    """The first rule that excludes all hosts of equal attributes, or none."""
    if request.demand.gpu and not host.capacity.gpu:
        return "RESOURCE:GPU"
    if lacks_attributes(request, host):
        return "ATTRIBUTE"
    rules = [parse_expression(each.expression) for each in request.constraints if each.type == "memberOf"]
    reachable = replace(host, connected=True)
    if all(rule.varies or rule.matches(reachable) for rule in rules):
        return ""
    return "MemberOf placement constraint unsatisfied."


def rank(model: Model, request: Request, strategy: Strategy, host: Host) -> int:
    """The number by which a strategy compares hosts, least first."""
    if strategy.type == "binpack":
        return model.free(host).cpu if strategy.field == "cpu" else model.free(host).memory
    if strategy.field in ("instanceId", "host"):
        return model.groups(host.id).count(request.group)
    name = strategy.field.removeprefix("attribute:")
    alike = [each for each in model.hosts.values() if each.attributes.get(name) == host.attributes.get(name)]
    return sum(model.groups(each.id).count(request.group) for each in alike)


def best(model: Model, request: Request, candidates: list[Host]) -> list[Host]:
    """What the chain of strategies leaves of the candidates, in listed order, up to a random one."""
    for strategy in request.strategies:
        if strategy.type == "random":
            break
        least = min(rank(model, request, strategy, host) for host in candidates)
        candidates = [host for host in candidates if rank(model, request, strategy, host) == least]
    return candidates


def by_chance(request: Request) -> bool:
    """Whether nothing before the first random strategy tells the hosts of one attribute value apart."""
    for strategy in request.strategies:
        if strategy.type == "random":
            return True
        if strategy.type == "binpack" or not strategy.field.startswith("attribute:"):
            return False
    return True


def choose(model: Model, request: Request, tied: list[Host], task: int) -> Host:
    ring = sorted(model.hosts, key=ring_position)
    start = ring_start(request.seed, [ring_position(name) for name in ring])
    if by_chance(request):
        names = {host.id for host in tied}
        for attempt in range(DRAWS):
            name = ring[draw(request.seed, task, attempt) % len(ring)]
            if name in names:
                return model.hosts[name]
        start = ring_position(name)
    return min(tied, key=lambda host: (ring_position(host.id) - start) & RING_MASK)


def place(model: Model, request: Request) -> tuple[list[str], dict[str, int]]:
    """The hosts of the tasks, and if not all were placed, the first reason of every host counted."""
    now = Model(dict(model.hosts), dict(model.tasks))
    considered = [
        host for host in now.hosts.values() if request.only_hosts is None or host.id in request.only_hosts
    ]
    placed: list[str] = []
    for task in range(request.count):
        candidates = [host for host in considered if not reasons(now, request, host)]
        if not candidates:
            return placed, dict(Counter(reasons(now, request, host)[0] for host in considered))
        host = choose(now, request, best(now, request, candidates), task)
        placed.append(host.id)
        now.tasks[f"placed {task}"] = (host.id, request.demand, request.group)
    return placed, {}


def scale_in_rank(model: Model, strategies: tuple[Strategy, ...], group: str, task: str) -> tuple[int, ...]:
    """Least first: minus the tasks of the group where the task is, minus what its host would have left."""
    host_id, demand, _ = model.tasks[task]
    host = model.hosts[host_id]
    request = Request(Resources(), 0, group)
    numbers = []
    for strategy in strategies or SERVICE_DEFAULT:
        if strategy.type == "random":
            break
        left = rank(model, request, strategy, host)
        if strategy.type == "binpack":
            left += demand.cpu if strategy.field == "cpu" else demand.memory
        numbers.append(-left)
    return tuple(numbers)
