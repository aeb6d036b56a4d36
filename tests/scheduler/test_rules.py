"""Every rule of placement in one line each: clusters that can be checked by eye.

A cluster is written as `a1@a,mem=500,stack=prod`: host a1 in zone a with 500 MiB (1000 of everything if
nothing is said) and an attribute. Tasks are written as `a1=web`: 100 CPU units and 100 MiB on a1, of group
service:web; `a1=-` is one that is being stopped. Requests are tasks of service:web, 100 and 100.
Sources: ECS developer guide, "Task placement", "Task placement constraints", "Task placement strategies",
"Service scheduler concepts"; the numbers are ours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from miniecs_scheduler import (
    SERVICE_DEFAULT,
    Constraint,
    Fleet,
    Host,
    Request,
    Resources,
    Strategy,
    index,
    place,
    scale_in_order,
)

SIZES = {"cpu": "cpu", "mem": "memory", "gpu": "gpu", "enis": "enis"}
SHORT = {
    "zones": "spread:attribute:ecs.availability-zone",
    "hosts": "spread:instanceId",
    "over r": "spread:attribute:r",
    "over s": "spread:attribute:s",
    "memory": "binpack:memory",
    "cpu": "binpack:cpu",
}
STATES = {"draining": {"active": False}, "lost": {"connected": False}}


def ports(text: str) -> frozenset[int]:
    return frozenset(map(int, text.split("+"))) if text else frozenset()


def amounts(text: str) -> Resources:
    """`cpu=100,mem=200,tcp=80+443` as resources."""
    given = dict(pair.split("=") for pair in text.split(",") if pair)
    sizes = {SIZES[name]: int(value) for name, value in given.items() if name in SIZES}
    return Resources(**sizes, tcp_ports=ports(given.get("tcp", "")), udp_ports=ports(given.get("udp", "")))


def a_host(text: str) -> Host:
    name, *more = text.split(",")
    name, _, zone = name.partition("@")
    attributes = {"ecs.availability-zone": zone} if zone else {}
    sizes, state, reserved = {"cpu": 1000, "memory": 1000}, {}, {"tcp": "22+51678", "udp": ""}
    for word in more:
        key, _, value = word.partition("=")
        if key in STATES:
            state = STATES[key]
        elif key in SIZES:
            sizes[SIZES[key]] = int(value)
        elif key in reserved:
            reserved[key] = value
        else:
            attributes[key] = value
    occupied = {"tcp_ports": ports(reserved["tcp"]), "udp_ports": ports(reserved["udp"])}
    return Host(name, attributes, Resources(**sizes, **occupied), **state)  # type: ignore[arg-type]


def cluster(hosts: str, tasks: str = "", demand: str = "cpu=100,mem=100") -> Fleet:
    fleet = Fleet()
    for text in hosts.split():
        fleet.put_host(a_host(text))
    for number, text in enumerate(tasks.split()):
        where, _, group = text.partition("=")
        fleet.assign(where, f"t{number}", amounts(demand), None if group == "-" else group_of(group))
    return fleet


def group_of(text: str) -> str:
    return text if ":" in text else f"service:{text}"


def chain(text: str) -> tuple[Strategy, ...]:
    """`zones, memory, spread:host` as strategies."""
    if text == "default":
        return SERVICE_DEFAULT
    words = [part.strip() for part in text.split(",") if part]
    return tuple(Strategy(*SHORT.get(word, word).split(":", 1)) for word in words)  # type: ignore[arg-type]


def rows(table: str) -> list[list[str]]:
    """The cells of a table, a line a case."""
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def request(count: int = 1, **changed: Any) -> Request:
    return replace(Request(Resources(100, 100), count, "service:web"), **changed)


def chosen(fleet: Fleet, wanted: Request) -> str:
    """The hosts in sorted order, `a1 a1 b1`; `a1 -` if one of two tasks found no host."""
    decision = place(fleet, wanted)
    return " ".join([*sorted(p.host for p in decision.placements), *["-"] * decision.unplaced])


CPU, MEM, PORTS, GPU, ENI = (f"RESOURCE:{what}" for what in ("CPU", "MEMORY", "PORTS", "GPU", "ENI"))


@pytest.mark.parametrize(
    ("rule", "host", "held", "needs", "reason"),
    [
        ("cpu: all that there is", "h,cpu=256", "", "cpu=256", None),
        ("cpu: one unit too many", "h,cpu=255", "", "cpu=256", CPU),
        ("cpu: the only unit that is needed", "h,cpu=0", "", "cpu=1", CPU),
        ("cpu: what tasks hold is gone", "h,cpu=500", "cpu=300", "cpu=201", CPU),
        ("cpu: what they leave is free", "h,cpu=500", "cpu=300", "cpu=200", None),
        ("cpu: none is needed where none is left", "h,cpu=0", "", "cpu=0,mem=1", None),
        ("cpu: none is needed on a host that is over-full", "h,cpu=100", "cpu=300", "mem=1", None),
        ("memory: all that there is", "h,mem=512", "", "mem=512", None),
        ("memory: one MiB too much", "h,mem=511", "", "mem=512", MEM),
        ("memory: the only MiB that is needed", "h,mem=0", "", "mem=1", MEM),
        ("memory: what tasks hold is gone", "h,mem=500", "mem=300", "mem=201", MEM),
        ("memory: none is needed on a host that is over-full", "h,mem=100", "mem=300", "cpu=1", None),
        ("cpu: none is needed, and it is not what lacks", "h,cpu=100,mem=100", "cpu=300", "mem=101", MEM),
        ("memory: none is needed, and it is not what lacks", "h,mem=100", "mem=300", "gpu=1", GPU),
        ("gpu: none is needed, and it is not what lacks", "h", "gpu=1", "enis=1", ENI),
        ("cpu comes before memory", "h,cpu=1,mem=1", "", "cpu=2,mem=2", CPU),
        ("port tcp: free", "h", "tcp=80", "tcp=81", None),
        ("port tcp: taken by a task", "h", "tcp=80", "tcp=80", PORTS),
        ("port tcp: one of several taken", "h", "tcp=80", "tcp=79+80+81", PORTS),
        ("port tcp: reserved by the host", "h", "", "tcp=22", PORTS),
        ("port tcp: reserved for the agent", "h", "", "tcp=51678", PORTS),
        ("port udp: free, though tcp has it", "h", "tcp=53", "udp=53", None),
        ("port udp: taken by a task", "h", "udp=53", "udp=53", PORTS),
        ("port udp: reserved by the host", "h,udp=68", "", "udp=68", PORTS),
        ("port udp: tcp's reservations are not its own", "h", "", "udp=22", None),
        ("port tcp: free, though udp has it", "h", "udp=53", "tcp=53", None),
        ("ports: none is asked for, all are taken", "h", "tcp=80,udp=80", "cpu=1", None),
        ("gpu: all that there are", "h,gpu=2", "", "gpu=2", None),
        ("gpu: the only one", "h,gpu=1", "", "gpu=1", None),
        ("gpu: more than there are", "h,gpu=2", "", "gpu=3", GPU),
        ("gpu: one is held", "h,gpu=2", "gpu=1", "gpu=2", GPU),
        ("gpu: one is left", "h,gpu=2", "gpu=1", "gpu=1", None),
        ("gpu: a host without", "h", "", "gpu=1", GPU),
        ("gpu: tasks that need none go there too", "h,gpu=1", "gpu=1", "cpu=1", None),
        ("interfaces: the last one", "h,enis=2", "enis=1", "enis=1", None),
        ("interfaces: none left", "h,enis=2", "enis=2", "enis=1", ENI),
        ("interfaces: none is needed", "h,enis=2", "enis=2", "cpu=1", None),
        ("status: DRAINING", "h,draining", "", "cpu=1", "INACTIVE"),
        ("agent: not connected", "h,lost", "", "cpu=1", "AGENT"),
        ("what a task that is being stopped holds is held", "h,cpu=150", "cpu=100", "cpu=100", CPU),
    ],
)
def test_fit(rule: str, host: str, held: str, needs: str, reason: str | None) -> None:
    fleet = cluster(host, "h=-" if "being stopped" in rule else "h=db" if held else "", held)
    decision = place(fleet, request(demand=amounts(needs)))
    assert (decision.closest.reason if decision.closest else None) == reason
    assert len(decision.placements) == (reason is None)


@pytest.mark.parametrize(
    ("rule", "required", "fits"),
    [
        ("a name that the host has", [("ssd", None)], True),
        ("a name that the host has with a value", [("stack", None)], True),
        ("a name and its value", [("stack", "prod")], True),
        ("a name with another value", [("stack", "test")], False),
        ("a name with a value, where the host has none", [("ssd", "yes")], False),
        ("a name that the host lacks", [("gpu", None)], False),
        ("all of several", [("ssd", None), ("stack", "prod")], True),
        ("not all of several", [("ssd", None), ("stack", "prod"), ("gpu", None)], False),
    ],
)
def test_required_attributes(rule: str, required: list[tuple[str, str | None]], fits: bool) -> None:
    decision = place(cluster("h,stack=prod,ssd="), request(required_attributes=tuple(required)))
    assert bool(decision.placements) is fits
    assert decision.closest is None or decision.closest.reason == "ATTRIBUTE"


ONE_EACH = Constraint("distinctInstance")


CONSTRAINTS = """
distinctInstance: one each | a b c |  | distinct | 3 | a b c
distinctInstance: the fourth of three | a b c |  | distinct | 4 | a b c -
distinctInstance: not beside its own service | a b | a=web | distinct | 1 | b
distinctInstance: beside another service | a | a=db | distinct | 1 | a
distinctInstance: beside a standalone task | a | a=family:web | distinct | 1 | a
distinctInstance: beside its own that is being stopped | a | a=- | distinct | 1 | a
without it: beside its own service | a | a=web |  | 1 | a
memberOf: those that match | a,s=1 b,s=2 |  | attribute:s == 2 | 2 | b b
memberOf: none that matches | a,s=1 b,s=2 |  | attribute:s == 3 | 1 | -
memberOf: all of several | a,s=1 b,s=1,t=1 c,t=1 |  | attribute:s == 1; attribute:t == 1 | 1 | b
memberOf and distinctInstance | a,s=1 b,s=1 c | a=web | distinct; attribute:s == 1 | 2 | b -
memberOf on groups: beside a group | a b | b=db | task:group == service:db | 1 | b
memberOf on groups: not beside a group | a b | b=db | task:group != service:db | 1 | a
memberOf on groups: not where one is being stopped | a | a=- | task:group =~ .* | 1 | -
memberOf on groups: a call sees its own | a |  | task:group != service:web | 2 | a -
memberOf on counts | a b | a=db a=db b=db | runningTasksCount < 2 | 1 | b
memberOf on counts: those being stopped are none | a | a=- a=- | runningTasksCount == 0 | 1 | a
memberOf on counts: a call sees its own | a |  | runningTasksCount < 2 | 3 | a a -
memberOf on the agent | a,lost b |  | agentConnected == true | 1 | b
"""


@pytest.mark.parametrize(("rule", "hosts", "tasks", "rules", "count", "expected"), rows(CONSTRAINTS))
def test_constraints(rule: str, hosts: str, tasks: str, rules: str, count: str, expected: str) -> None:
    constraints = tuple(
        ONE_EACH if text == "distinct" else Constraint("memberOf", text) for text in rules.split("; ") if text
    )
    for strategies in ("", "default", "binpack:memory", "spread:host, binpack:cpu"):
        wanted = request(int(count), constraints=constraints, strategies=chain(strategies))
        assert chosen(cluster(hosts, tasks), wanted) == expected, strategies


STRATEGIES = """
spread zones: where the service has fewest | a@a b@b | a=web | zones | 1 | b
spread zones: counts in zones, not on hosts | a1@a a2@a b@b | a1=web b=web b=web | zones, hosts | 1 | a2
spread zones: other services do not count | a@a b@b | a=web b=db b=db | zones | 1 | b
spread zones: standalone tasks do not count | a@a b@b | a=web b=family:x b=family:x | zones | 1 | b
spread zones: tasks being stopped do not count | a@a b@b | a=web b=- b=- | zones | 1 | b
spread zones: tasks of one call see each other | a@a b@b c@c |  | zones | 6 | a a b b c c
spread zones: evens out what is uneven | a@a b@b | a=web a=web | zones | 4 | a b b b
spread zones: best effort when a zone is full | a@a,mem=150 b@b |  | zones | 4 | a b b b
spread zones: those on hosts that are DRAINING count | a1@a,draining a2@a b@b | a1=web | zones | 1 | b
spread an attribute: by its values | a,r=1 b,r=1 c,r=2 | a=web | over r | 1 | c
spread an attribute: hosts without are one value | a,r=1 b c | b=web | over r | 1 | a
spread an attribute: no value is a value | a,r= b | b=web | over r | 1 | a
spread instanceId: fewest on the host | a b | a=web | spread:instanceId | 1 | b
spread host is the same | a b | a=web | spread:host | 1 | b
spread instanceId: other services do not count | a b | a=web b=db b=db | spread:instanceId | 1 | b
spread instanceId: tasks of one call see each other | a b c |  | spread:instanceId | 5 | evenly
binpack memory: least that is left | a,mem=900 b,mem=300 c,mem=600 |  | memory | 1 | b
binpack memory: of those that fit | a,mem=900 b,mem=99 c,mem=600 |  | memory | 1 | c
binpack memory: what is held counts | a,mem=900 b,mem=850 | a=db | memory | 1 | a
binpack memory: not cpu | a,cpu=200,mem=900 b,mem=800 |  | memory | 1 | b
binpack cpu: least that is left | a,cpu=900 b,cpu=300 c,cpu=600 |  | cpu | 1 | b
binpack cpu: of those that fit | a,cpu=900 b,cpu=99 c,cpu=600 |  | cpu | 1 | c
binpack: fills one before the next | a,mem=250 b,mem=350 |  | memory | 5 | a a b b b
binpack cpu: fills one before the next | a,cpu=250 b,cpu=350 |  | cpu | 5 | a a b b b
binpack memory: of equal hosts one is filled | a,mem=900 b,mem=900 |  | memory | 4 | one of them
binpack cpu: of equal hosts one is filled | a,cpu=900 b,cpu=900 |  | cpu | 4 | one of them
chain: cpu, memory: of equal hosts one is filled | a b c |  | cpu, memory | 4 | one of them
chain: hosts of equal count, then the fuller one | a,mem=900 b,mem=800 c |  | hosts, memory | 5 | a a b b c
chain: of equal counts the fuller | a,mem=900 b,mem=800 c | a=web b=web c=web | hosts, memory | 4 | a b b c
chain: fuller by cpu, then of equal count | a,cpu=900 b,cpu=900 c |  | cpu, hosts | 4 | one of them
binpack: a host that is full | a,mem=100 b,mem=200 |  | memory | 4 | a b b -
chain: packs in the zone of fewest | a@a,mem=200 b1@b,mem=900 b2@b,mem=400 | a=web | zones, memory | 1 | b2
chain: the first one rules | a@a,mem=200 b1@b,mem=900 b2@b,mem=400 | a=web | memory, zones | 1 | a
chain: cpu breaks ties of memory | a,cpu=900 b,cpu=500 c,cpu=100,mem=999 |  | memory, cpu | 1 | c
chain: memory breaks ties of cpu | a,mem=900 b,mem=500 |  | cpu, memory | 1 | b
chain: two attributes | a,r=1,s=1 b,r=1,s=2 c,r=2,s=1 | c=web a=db | over r, over s | 1 | b
chain: two attributes, task by task | a,r=1,s=1 b,r=2,s=2 | a=web a=web | over r, over s | 2 | b b
chain: two attributes and hosts | a,r=1,s=1 b,r=2,s=2 | a=web a=web | over r, over s, memory | 2 | b b
chain: hosts, then attributes | a,r=1 b,r=1 c,r=2 | a=web | hosts, over r | 1 | c
chain: all | a@a,r=1 b@a,r=1,mem=500 c@a,r=2 d@b,r=2 | d=web | zones, over r, hosts, memory, cpu | 1 | b
chain: nothing counts after random | a,mem=900 b,mem=300 |  | memory, random, hosts | 1 | b
default of services: zones, then hosts | a1@a a2@a b@b | a1=web b=web b=web | default | 1 | a2
default of services: the last one | a@a b@b c@c d@d | a=web b=web b=web b=web c=web c=web | default | 1 | d
default of services: zones first | a1@a a2@a b@b | b=web | default | 2 | a1 a2
random: what there is | a |  | random | 2 | a a
no strategy: what there is | a b,lost |  |  | 2 | a a
"""


@pytest.mark.parametrize(("rule", "hosts", "tasks", "strategies", "count", "expected"), rows(STRATEGIES))
def test_strategies(
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    hosts: str,
    tasks: str,
    strategies: str,
    count: str,
    expected: str,
) -> None:
    """Whether hosts are searched by class, one by one or, as for StartTask, by name."""
    names = frozenset(text.split(",")[0].split("@")[0] for text in hosts.split())
    for seed in range(5):
        for only, classes in ((None, 64), (None, 0), (names, 64)):
            monkeypatch.setattr(index, "MAX_CLASSES", classes)
            fleet = cluster(hosts, tasks)
            wanted = request(int(count), strategies=chain(strategies), seed=seed, only_hosts=only)
            found = chosen(fleet, wanted)
            assert FREE[expected](found) if expected in FREE else found == expected, (seed, only)


def evenly(found: str) -> bool:
    """Five on three hosts: two, two and one."""
    return sorted(Counter(found.split()).values()) == [1, 2, 2]


def alone(found: str) -> bool:
    """All on one host."""
    return len(set(found.split())) == 1


FREE = {"evenly": evenly, "one of them": alone}

SCALE_IN = """
no strategy: the fullest zone | a1@a a2@a b@b | a1=web a2=web b=web |  | a1 a2
no strategy: there the host with most | a1@a a2@a b@b | a1=web a1=web a2=web b=web |  | a1
no strategy: zones come before hosts | a1@a a2@a b@b | a1=web a2=web a1=web b=web b=web |  | a1
spread zones: any host of the fullest | a1@a a2@a b@b | a1=web a1=web a2=web b=web | zones | a1 a2
spread zones: other services do not count | a@a b@b | a=web a=web b=web b=db b=db | zones | a
spread an attribute | a,r=1 b,r=2 c,r=2 | a=web b=web c=web | over r | b c
spread hosts: the one with most | a b | a=web b=web b=web | hosts | b
spread hosts: other services do not count | a b | a=web b=web b=web a=db a=db | hosts | b
binpack memory: where then most is left | a,mem=500 b,mem=900 | a=web b=web | memory | b
binpack memory: other services' memory counts | a,mem=500 b,mem=700 | a=web b=web b=db b=db b=db | memory | a
binpack cpu: where then most is left | a,cpu=500 b,cpu=900 | a=web b=web | cpu | b
chain: zones, then binpack | a1@a,mem=400 a2@a,mem=600 b@b | a1=web a2=web b=web | zones, memory | a2
random: any | a b | a=web b=web | random | a b
a host that is gone: first of all | a@a b@b | a=web a=web lost=web |  | lost
"""


@pytest.mark.parametrize(("rule", "hosts", "tasks", "strategies", "first"), rows(SCALE_IN))
def test_scale_in(rule: str, hosts: str, tasks: str, strategies: str, first: str) -> None:
    """Where the first task to stop is; any of several if they are equal, and with some seeds each of them."""
    where = {f"t{n}": text.split("=")[0] for n, text in enumerate(tasks.split()) if text.endswith("=web")}
    found = set()
    for seed in range(30):
        fleet = cluster(hosts, tasks)
        ordered = scale_in_order(fleet, list(where.items()), chain(strategies), "service:web", seed)
        assert sorted(ordered) == sorted(where)
        found.add(where[ordered[0]])
    assert found == set(first.split())


def test_protected_tasks_are_not_offered_and_count_all_the_same() -> None:
    """Whoever asks leaves them out; their zone stays the fullest, so its only other task goes first."""
    fleet = cluster("a@a b@b", "a=web a=web a=web b=web b=web")
    offered = [("t2", "a"), ("t3", "b"), ("t4", "b")]
    assert scale_in_order(fleet, offered, (), "service:web", 0)[0] == "t2"


@pytest.mark.parametrize("strategies", ["", "random", "hosts", "memory", "zones", "default"])
def test_ties_come_from_the_seed(strategies: str) -> None:
    hosts = " ".join(f"h{n}@a" for n in range(8))
    wanted = request(strategies=chain(strategies))
    by_seed = [chosen(cluster(hosts), replace(wanted, seed=seed)) for seed in range(60)]
    assert set(by_seed) == {f"h{n}" for n in range(8)}
    assert by_seed == [chosen(cluster(hosts), replace(wanted, seed=seed)) for seed in range(60)]


@pytest.mark.parametrize(
    ("rule", "only", "expected"),
    [
        ("StartTask, DAEMON: the hosts that are named", "b c", "b c"),
        ("one that does not exist is no host", "b x", "b -"),
        ("one that cannot take it is refused", "b lost", "b -"),
        ("none at all", "", "- -"),
    ],
)
def test_only_hosts(rule: str, only: str, expected: str) -> None:
    wanted = request(2, only_hosts=frozenset(only.split()), constraints=(ONE_EACH,))
    assert chosen(cluster("a b c lost,lost"), wanted) == expected
