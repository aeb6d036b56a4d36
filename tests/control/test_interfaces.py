"""Network interfaces of tasks: their addresses, and the way of a task that needs one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from miniecs.control import interfaces, tasks
from miniecs.control.plan import NOTHING, AdvanceTask, AssignTask, Plan, SetInterface, StopTask
from miniecs.model import arns, fargate
from miniecs.model.instance import ContainerInstance
from miniecs.model.network import Subnet, Vpc
from miniecs.model.task import NetworkInterface, Task

from .cases import NOW, SCOPE, TIMING, VERSION, FakeView, instance, task
from .lab import Lab

VPC = Vpc(SCOPE, "vpc-1", "10.64.0.0/16")
NORTH = Subnet(SCOPE, "subnet-n", "vpc-1", "us-east-1a", "10.64.0.0/21")
SOUTH = Subnet(SCOPE, "subnet-s", "vpc-1", "us-east-1b", "10.64.8.0/21")
TINY = replace(NORTH, cidr="10.64.0.0/29")  # eight addresses: three are left by EC2

MACHINE = ContainerInstance(
    arns.container_instance(SCOPE, fargate.CLUSTER, "m1"), fargate.cluster_arn(SCOPE), agent_connected=True
)


def waiting(name: str, subnet: Subnet = NORTH, **fields: Any) -> Task:
    defaults: dict[str, Any] = {"network_interface": interfaces.wanted(subnet, f"att-{name}"), **fields}
    return task(name, status="PROVISIONING", **defaults)


def on_fargate(name: str, **fields: Any) -> Task:
    return waiting(name, launch_type="FARGATE", **{"container_instance_arn": None, **fields})


def with_interface(of: Task, *others: Task, subnet: Subnet = NORTH) -> Task:
    provided = interfaces.provided(FakeView(VPC, subnet, of, *others), of)
    assert provided is not None
    return replace(of, network_interface=provided)


def plan(of: Task, *things: object) -> Plan:
    return tasks.plan(FakeView(VPC, NORTH, of, instance(1), *things), of.arn, now=NOW, timing=TIMING)


def test_an_interface_has_everything_that_its_task_needs() -> None:
    own = with_interface(waiting("a")).network_interface
    assert own is not None
    assert own == NetworkInterface(
        id=own.id,
        attachment_id="att-a",
        subnet_id="subnet-n",
        mac_address="02:ec:" + ":".join(f"{part:02x}" for part in IPv4Address(own.private_ipv4).packed),
        private_ipv4=own.private_ipv4,
        status="ATTACHING",
        cidr="10.64.0.0/21",
        vpc_id="vpc-1",
        vpc_cidr="10.64.0.0/16",
    )
    assert own.id.startswith("eni-")
    assert len(own.id) == 21
    assert IPv4Address(own.private_ipv4) in IPv4Network("10.64.0.0/21")


def test_every_address_but_those_that_ec2_keeps_is_given_once_and_comes_back() -> None:
    placed: list[Task] = []
    for name in "abc":
        placed.append(with_interface(waiting(name), *placed, subnet=TINY))
    assert _addresses(placed) == {"10.64.0.4", "10.64.0.5", "10.64.0.6"}
    late = waiting("d")
    assert interfaces.provided(FakeView(VPC, TINY, late, *placed), late) is None
    gone = replace(placed[1], last_status="STOPPED")
    again = with_interface(late, placed[0], gone, placed[2], subnet=TINY)
    assert _addresses([again]) == _addresses([gone])


def _addresses(tasks: Iterable[Task]) -> set[str]:
    return {t.network_interface.private_ipv4 for t in tasks if t.network_interface is not None}


def test_subnets_take_turns_and_a_hosts_zone_decides() -> None:
    beside = [waiting("a", NORTH)]
    chooser = interfaces.Chooser([NORTH, SOUTH], beside)
    assert [chooser.choose(None) for _ in range(3)] == [SOUTH, NORTH, SOUTH]
    assert chooser.choose("us-east-1b") is SOUTH
    assert chooser.choose("us-east-1c") is None
    hosts = [instance(n, zone=f"us-east-1{zone}") for n, zone in enumerate("abc")]
    assert chooser.hosts(hosts) == {hosts[0].arn, hosts[1].arn}


def advance(task: Task) -> AdvanceTask:
    because = "it has a host and needs nothing else before its agent gets it"
    return AdvanceTask(task, VERSION, "PENDING", because)


def test_first_its_interface_then_its_agent() -> None:
    fresh = waiting("a")
    ready = with_interface(fresh)
    assert ready.network_interface is not None
    because = f"{ready.network_interface.private_ipv4} is free in subnet-n"
    provide = SetInterface(fresh, VERSION, ready.network_interface, because)
    assert plan(fresh) == Plan((provide, advance(fresh)))
    assert plan(ready) == Plan((advance(ready),))


def test_a_task_for_which_no_address_is_left_does_not_start() -> None:
    placed: list[Task] = []
    for name in "abc":
        placed.append(with_interface(waiting(name), *placed, subnet=TINY))
    late = waiting("d")
    view = FakeView(VPC, TINY, late, *placed, instance(1))
    assert tasks.plan(view, late.arn, now=NOW, timing=TIMING) == Plan(
        (
            StopTask(
                late,
                VERSION,
                "TaskFailedToStart",
                "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-n': "
                "InsufficientFreeAddressesInSubnet",
                "every address of subnet-n is in use",
            ),
            AdvanceTask(late, VERSION, "STOPPED", "no agent has heard of it yet"),
        )
    )


@pytest.mark.parametrize(
    "machines", [(), (replace(MACHINE, agent_connected=False),), (replace(MACHINE, status="INACTIVE"),)]
)
def test_a_fargate_task_waits_for_a_machine(machines: tuple[ContainerInstance, ...]) -> None:
    assert plan(with_interface(on_fargate("a")), *machines) == NOTHING


def test_a_fargate_task_goes_to_the_machine_with_the_fewest_tasks() -> None:
    idle = replace(MACHINE, arn=MACHINE.arn.replace("m1", "m2"))
    busy = task("b", launch_type="FARGATE", container_instance_arn=MACHINE.arn)
    ready = with_interface(on_fargate("a"))
    assert plan(ready, MACHINE, idle, busy) == Plan(
        (AssignTask(ready, VERSION, idle.arn, "Fargate has a machine for it"), advance(ready))
    )


def test_the_life_of_a_fargate_task_that_waited_for_its_machine() -> None:
    lab = Lab(VPC, NORTH, on_fargate("a", service_arn=None, deployment_id=None))
    lab.settle()
    [waits] = lab.tasks()
    assert waits.last_status == "PROVISIONING"
    assert waits.network_interface is not None
    assert waits.network_interface.is_provided
    lab.put(MACHINE)
    lab.settle()
    [pending] = lab.tasks()
    assert (pending.last_status, pending.container_instance_arn) == ("PENDING", MACHINE.arn)
    lab.check_idle()
