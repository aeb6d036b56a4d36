"""Small random clusters, tasks and requests: few values of each thing, so that ties are common."""

from __future__ import annotations

from random import Random

from miniecs_scheduler import Constraint, Fleet, Host, Request, Resources, Strategy

from .reference import Model

GROUPS = ("service:web", "service:db", "family:job")
CONSTRAINTS = (
    "attribute:stack == prod",
    "attribute:stack exists and not(task:group == service:db)",
    "task:group == service:db or runningTasksCount == 0",
    "runningTasksCount < 2",
    "agentVersion >= 1.80",
    "ec2InstanceId =~ i-[0-4].*",
    "attribute:name != host-1",
    "attribute:ecs.availability-zone in [a, b] || attribute:stack =~ pr.*",
    "agentConnected == true",
)
STRATEGIES = (
    Strategy("random"),
    Strategy("spread", "attribute:ecs.availability-zone"),
    Strategy("spread", "attribute:stack"),
    Strategy("spread", "attribute:name"),
    Strategy("spread", "instanceId"),
    Strategy("spread", "host"),
    Strategy("binpack", "memory"),
    Strategy("binpack", "cpu"),
)


def a_demand(random: Random) -> Resources:
    return Resources(
        cpu=random.choice((0, 128, 256)),
        memory=random.choice((0, 256, 512)),
        gpu=random.choice((0, 0, 0, 1)),
        enis=random.choice((0, 0, 0, 1)),
        tcp_ports=random.choice((frozenset(), frozenset(), frozenset({80}), frozenset({80, 443}))),
        udp_ports=random.choice((frozenset(), frozenset(), frozenset(), frozenset({53}))),
    )


def a_host(random: Random, number: int) -> Host:
    attributes = {
        "name": f"host-{number}",
        "ecs.availability-zone": random.choice(("a", "b", "c", None)),
        "stack": random.choice(("prod", "test", "", None)),
    }
    return Host(
        id=f"arn:host/{number}",
        attributes={name: value for name, value in attributes.items() if value is not None},
        capacity=Resources(
            cpu=random.choice((256, 1024, 1024)),
            memory=random.choice((512, 2048)),
            gpu=random.choice((0, 0, 2)),
            enis=random.choice((0, 2)),
            tcp_ports=random.choice((frozenset({22}), frozenset({22, 80}))),
        ),
        active=random.random() < 0.9,
        connected=random.random() < 0.9,
        ec2_instance_id=f"i-{number}",
        agent_version=random.choice(("1.79.2", "1.80.0", "1.100.0")),
    )


def a_model(random: Random) -> Model:
    """A cluster with tasks on it, some on hosts that are not known, some beyond what a host has."""
    model = Model()
    for number in range(random.randint(0, 9)):
        host = a_host(random, number)
        model.hosts[host.id] = host
    for number in range(random.randint(0, 12)):
        model.tasks[f"task-{number}"] = (any_host_id(random), a_demand(random), any_group(random))
    return model


def any_group(random: Random) -> str | None:
    """A task's; None for one that is being stopped."""
    return random.choice((*GROUPS, *GROUPS, None))


def any_host_id(random: Random) -> str:
    return f"arn:host/{random.randint(0, 10)}"


def a_request(random: Random) -> Request:
    constraints = [
        Constraint("memberOf", text) for text in random.sample(CONSTRAINTS, random.choice((0, 0, 1, 2)))
    ]
    if random.random() < 0.25:
        constraints.append(Constraint("distinctInstance"))
    only = None
    if random.random() < 0.3:
        only = frozenset(any_host_id(random) for _ in range(random.randint(0, 9)))
    return Request(
        demand=a_demand(random),
        count=random.randint(0, 8),
        group=random.choice(GROUPS),
        required_attributes=random.choice(((), (), (("stack", None),), (("stack", "prod"),))),
        constraints=tuple(constraints),
        strategies=tuple(random.choices(STRATEGIES, k=random.randint(0, 3))),
        seed=random.getrandbits(64),
        only_hosts=only,
    )


def fleet_of(model: Model) -> Fleet:
    fleet = Fleet()
    for host in model.hosts.values():
        fleet.put_host(host)
    for task, (host_id, demand, group) in model.tasks.items():
        fleet.assign(host_id, task, demand, group)
    return fleet
