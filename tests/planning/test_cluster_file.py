"""Cluster files: what they mean, and that every mistake is told with its place and what was meant."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from miniecs.control.launch import demand_of
from miniecs.planning.cluster_file import ClusterFile, load, observed
from miniecs.planning.planned import Planned, plan
from miniecs.planning.text import Mistake
from miniecs_scheduler import Resources

WEB = "taskDefinitions: [{family: web, cpu: 256, memory: 512}]\n"


def planned(text: str) -> Planned:
    return plan(load(text, "c.yaml"))


def mistake(text: str) -> str:
    with pytest.raises(Mistake) as found:
        planned(text)
    return str(found.value)


def test_hosts_are_numbered_dealt_over_zones_and_have_what_hosts_have() -> None:
    cluster = planned(
        "hosts:\n"
        "  - {count: 3, type: m5.large, zones: [a, b], attributes: {disk: ssd, rack: 7, spot: no}}\n"
        "  - {id: big, cpu: 8 vCPU, memory: 32 GB, gpus: 2, ports: [22, 53/udp], zone: eu-central-1b}\n"
        "  - {type: t3.micro, status: DRAINING, agentConnected: false, attributes: {ecs.os-type: null}}\n"
    )
    zones = {id: instance.availability_zone for id, instance in cluster.instances.items()}
    assert zones == {
        "m5.large-1": "us-east-1a",
        "m5.large-2": "us-east-1b",
        "m5.large-3": "us-east-1a",
        "big": "eu-central-1b",
        "t3.micro-1": "us-east-1a",
    }
    first, big, micro = (cluster.instances[id] for id in ("m5.large-1", "big", "t3.micro-1"))
    assert (first.cpu, first.memory, first.ports) == (2048, 8192, (22, 2375, 2376, 51678, 51679))
    assert first.attribute("disk") == "ssd"
    assert (first.attribute("rack"), first.attribute("spot")) == ("7", "no")
    assert first.attribute("ecs.instance-type") == "m5.large"
    assert (big.cpu, big.memory, len(big.gpus)) == (8192, 32768, 2)
    assert (big.ports, big.ports_udp) == ((22,), (53,))
    assert (micro.status, micro.agent_connected) == ("DRAINING", False)
    assert (first.attribute("ecs.os-type"), micro.attribute("ecs.os-type")) == ("linux", None)


def test_hosts_without_zone_are_dealt_over_three_in_one_turn() -> None:
    cluster = planned("hosts: [{count: 2, type: m5.large}, {count: 2, type: c5.large}]")
    zones = [instance.availability_zone for instance in cluster.instances.values()]
    assert zones == ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1a"]


def test_task_definitions_need_no_more_than_their_size() -> None:
    cluster = planned(
        "hosts: [{type: m5.large}]\n"
        "taskDefinitions:\n"
        "  - {family: web, cpu: 1 vCPU, memory: 2 GB, hostPorts: [80, 53/udp], gpus: 1}\n"
        "  - {family: web, memory: '300'}\n"
        "  - {family: web, revision: 7, networkMode: awsvpc, cpu: '256', memory: 512}\n"
        "  - family: api\n"
        "    containerDefinitions:\n"
        "      - {name: a, cpu: 100, memory: 512, memoryReservation: 300}\n"
        "      - {name: b, image: busybox, memory: 64, portMappings: [{containerPort: 1, hostPort: 81}]}\n"
    )
    demands = {name: demand_of(definition) for name, definition in cluster.definitions.items()}
    assert demands == {
        "web:1": Resources(1024, 2048, gpu=1, tcp_ports=frozenset({80}), udp_ports=frozenset({53})),
        "web:2": Resources(0, 300),
        "web:7": Resources(256, 512, enis=1),
        "api:1": Resources(100, 364, tcp_ports=frozenset({81})),
    }
    assert cluster.definition("web") is cluster.definitions["web:7"]
    assert cluster.definition("arn:aws:ecs:us-east-1:1:task-definition/web:2") is cluster.definitions["web:2"]


def test_what_the_api_describes_can_be_pasted() -> None:
    described = {
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/web:3",
        "family": "web",
        "revision": 3,
        "status": "ACTIVE",
        "containerDefinitions": [{"name": "web", "image": "httpd", "memory": 64, "essential": True}],
        "requiresAttributes": [{"name": "com.amazonaws.ecs.capability.privileged-container"}],
        "registeredAt": "2026-01-01T00:00:00+00:00",
        "compatibilities": ["EC2"],
        "volumes": [],
    }
    cluster = planned(json.dumps({"hosts": [{"type": "m5.large"}], "taskDefinitions": [described]}))
    assert cluster.definition("web").arn == described["taskDefinitionArn"]
    # A host that does not say what it is capable of is capable of what task definitions ask for.
    assert "com.amazonaws.ecs.capability.privileged-container" in next(iter(cluster.fleet.hosts())).attributes


def test_what_runs_is_listed_by_host_or_placed_by_its_service() -> None:
    cluster = planned(
        "hosts:\n"
        "  - {count: 4, type: m5.large, zones: [a, b]}\n"
        "  - id: old\n"
        "    type: m5.large\n"
        "    zone: a\n"
        "    tasks:\n"
        "      - {taskDefinition: web, count: 2, group: 'service:web'}\n"
        "      - {taskDefinition: web, cpu: 1000}\n"
        "      - {cpu: 1, memory: 2, group: other}\n" + WEB + "services:\n"
        "  - {serviceName: web, taskDefinition: web, count: 5}\n"
        "  - {serviceName: agent, taskDefinition: web, schedulingStrategy: DAEMON}\n"
    )
    by_host: dict[str, list[tuple[str, int]]] = {}
    for task in cluster.tasks:
        by_host.setdefault(task.group, []).append((task.host, task.demand.cpu))
    assert by_host["family:web"] == [("old", 1000)]
    assert by_host["other"] == [("old", 1)]
    assert len(by_host["service:agent"]) == len({host for host, _ in by_host["service:agent"]}) == 5
    web = [host for host, _ in by_host["service:web"]]
    assert web.count("old") == 2
    zones = [cluster.instances[host].availability_zone for host in web]
    assert sorted(map(str, zones)) == ["us-east-1a"] * 3 + ["us-east-1b"] * 2  # ECS's default
    assert cluster.fleet.free("old").cpu == 2048 - 2 * 256 - 1000 - 1 - 256


def test_a_service_that_does_not_fit_is_told() -> None:
    (note,) = planned(
        "hosts: [{type: t3.nano}]\n" + WEB + "services: [{serviceName: s, taskDefinition: web, count: 3}]"
    ).notes
    assert note.startswith("service s: 2 of 3 tasks find no place: 512 MiB short on the best host")


def test_more_on_a_host_than_it_has_is_told() -> None:
    tasks = "tasks: [{taskDefinition: web, count: 9}]"
    cluster = planned(f"hosts: [{{id: small, type: t3.medium, {tasks}}}]\n{WEB}")
    assert cluster.notes == [
        "host small is given more than it has: 2304 of 2048 CPU units",
        "host small is given more than it has: 4608 of 4096 MiB",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hosts: []", "c.yaml: there are no hosts. Give some, for example:"),
        ("", "c.yaml: this is empty; it has to have some of: cluster, region, account, "),
        ("[]", "c.yaml: this is not a mapping; it has to have some of: "),
        ("hosts: [1", "c.yaml, line 1: this is neither YAML nor JSON: "),
        ("hosts:\n- type: a\n  type: b", "c.yaml, line 3: 'type' is given twice, first in line 2"),
        ('{"hosts": [], "hosts": []}', "c.yaml: 'hosts' is given twice in one object"),
        ("hosts: &a [*a]", "c.yaml, line 1: aliases (*a) are not read here; write it out"),
        ("hosts: !!python/name:os.system []", "line 1: tag:yaml.org,2002:python/name:os.system is not read"),
        ("hosts: !!python/name:os.system x", "line 1: tag:yaml.org,2002:python/name:os.system is not read"),
        ("[" * 5000, "c.yaml, line 1: nested more than 40 deep"),
        ("{" * 5000, "c.yaml, line 1: a key must be a word"),
        ("hosts: []\n---\nhosts: []", "c.yaml, line 3: a second document begins here; give one a file"),
        ("hosts: [{type: m5.large}]\nhost: 1", "c.yaml, line 2: host: unknown; did you mean hosts?"),
        (
            "hosts:\n  - type: m5.large\n  - instanceType: m5.large",
            "c.yaml, line 3: hosts[1].instanceType: unknown; did you mean type?",
        ),
        ("hosts: [{type: m5.large, qqq: 1}]", "c.yaml, line 1: hosts[0].qqq: unknown; known are count, id, "),
        ("hosts: [{count: -2, type: m5.large}]", "count: must be greater than or equal to 1, not -2"),
        ("hosts: [{count: 100001, type: m5.large}]", "must be less than or equal to 100000, not 100001"),
        ("hosts: [{count: 60000, type: c5.large}, {count: 60000, type: m5.large}]", "more than 100,000"),
        ("hosts: [{count: true, type: m5.large}]", "hosts[0].count: must be a number, not true"),
        ("hosts: [{count: yes, type: m5.large}]", "hosts[0].count: must be a valid integer"),
        ("hosts: [{count: 1.5, type: m5.large}]", "hosts[0].count: must be a valid integer"),
        ("hosts: [{cpu: -1, memory: 5}]", "hosts[0].cpu: must be greater than or equal to 0, not -1"),
        ("hosts: [{cpu: 1, memory: 999999999999}]", "memory: must be less than or equal to 67108864"),
        (f"hosts: [{{cpu: {'9' * 400} vCPU, memory: 5}}]", "cpu: must be less than or equal to 1048576"),
        (f"hosts: [{{cpu: 1, memory: {'9' * 400} GB}}]", "memory: must be less than or equal to 67108864"),
        *(
            (
                "taskDefinitions: [{family: web, containerDefinitions: [{name: a, memory: 6, "
                f"resourceRequirements: [{{type: GPU, value: '{value}'}}]}}]}}]",
                f"containerDefinitions[0]: a GPU's value must be a whole number of 1 to 9999, not '{value}'",
            )
            for value in ("x", "-1", "0", "ALL", "", "9" * 5000)
        ),
        *(
            (
                "taskDefinitions: [{family: web, containerDefinitions: [{name: a, memory: 6, "
                f"portMappings: [{{containerPort: 80, hostPort: {port}}}]}}]}}]",
                f"containerDefinitions[0]: a hostPort must be one of 0 to 65535, not {port}",
            )
            for port in (-4, 65536)
        ),
        ("hosts: [{memory: 5}]", "hosts[0]: give a type (like m5.large), or cpu and memory"),
        (
            "hosts: [{type: m5.larg}]",
            "hosts[0]: Did you mean m5.large? 'm5.larg' is not a known instance type. Known are: t2 (nano, ",
        ),
        ("hosts: [{type: m5.large, zone: a, zones: [b]}]", "hosts[0]: give zone or zones, not both"),
        ("hosts: [{type: m5.large, zones: []}]", "hosts[0].zones: is empty; it needs at least one entry"),
        ("hosts: {type: m5.large}", "line 1: hosts: must be a list"),
        ("hosts: [{type: m5.large, ports: [70000]}]", "hosts[0].ports[0]: must be a port of 1 to 65535"),
        ("hosts: [{type: m5.large, status: DRANING}]", "hosts[0].status: must be 'ACTIVE', 'DRAINING', "),
        ("hosts: [{type: m5.large, attributes: {a: true}}]", 'attributes.a: write "true" with quotes'),
        (
            "hosts:\n- {type: m5.large}\n- type: m5.large\n  capabilities: x",
            "c.yaml, line 4: hosts[1].capabilities: there are no capabilities 'x'; there are none",
        ),
        (
            "hosts:\n- {id: a, type: m5.large}\n- {id: a, type: m5.large}",
            "c.yaml, line 3: hosts[1]: two hosts have the id a",
        ),
        (
            "hosts: [{type: m5.large, registeredAt: yesterday}]",
            "hosts[0].registeredAt: must be a date like 2026-01-31 or 2026-01-31T08:30:00Z, or seconds since",
        ),
        ("hosts: [{type: m5.large, registeredAt: .inf}]", "registeredAt: must be a finite number"),
        ("hosts: [{type: m5.large, registeredAt: -1}]", "must be greater than or equal to 0, not -1"),
        (
            "hosts: [{type: m5.large, tasks: [{count: 2}]}]",
            "hosts[0].tasks[0]: name a taskDefinition, or give cpu and memory",
        ),
        (
            "hosts:\n- type: m5.large\n  tasks:\n  - {taskDefinition: web}\n  - taskDefinition: wob\n" + WEB,
            "c.yaml, line 5: hosts[0].tasks[1].taskDefinition: there is no task definition wob; did you mean",
        ),
        (
            "hosts: [{type: m5.large}]\n" + WEB + "services:\n"
            "- {serviceName: s, taskDefinition: web}\n- serviceName: t\n  count: 1\n  taskDefinition: wob",
            "c.yaml, line 7: services[1].taskDefinition: there is no task definition wob; did you mean web?",
        ),
        (
            "hosts: [{type: m5.large}]\n" + WEB + "services:\n- {serviceName: t, taskDefinition: wob}",
            "c.yaml, line 4: services[0].taskDefinition: there is no task definition wob; did you mean web?",
        ),
        (
            "hosts: [{type: m5.large}]\ntaskDefinitions:\n- {family: web, cpu: 5}",
            "c.yaml, line 3: taskDefinitions[0]: task definition web:1 says no memory: give memory to the ",
        ),
        (
            "hosts: [{type: m5.large}]\ntaskDefinitions:\n- family: web\n  containerDefinitions:\n"
            "  - {name: a, memory: 5, memoryReservatoin: 4}",
            "c.yaml, line 5: taskDefinitions[0].containerDefinitions[0].memoryReservatoin: unknown; did you "
            "mean memoryReservation?",
        ),
        (
            "hosts: [{type: m5.large}]\ntaskDefinitions: [{family: web, cpu: lots, memory: -5}]",
            "taskDefinitions[0].memory: must be greater than or equal to 0, not -5",
        ),
        (
            "hosts: [{type: m5.large}]\n"
            "taskDefinitions:\n- {family: w, memory: 5}\n- {family: w, revision: 1, memory: 5}",
            "c.yaml, line 4: taskDefinitions[1]: task definition w:1 is described twice",
        ),
        (
            "hosts: [{type: m5.large}]\n"
            "taskDefinitions: [{family: w, memory: 5, networkMode: awsvpc, hostPorts: [1]}]",
            "taskDefinitions[0]: a task in network mode awsvpc takes no hostPorts",
        ),
        (
            "hosts: [{type: m5.large}]\n" + WEB + "services: [{serviceName: s, taskDefinition: web, "
            "placementStrategy: [binpak:memory]}]",
            "services[0].placementStrategy[0]: 'binpak:memory' is not a placement strategy; did you mean "
            "binpack:memory?",
        ),
        (
            "hosts: [{type: m5.large}]\n" + WEB + "services: [{serviceName: s, taskDefinition: web, "
            'placementConstraints: ["memberOf:attribute:stack = x"]}]',
            "services[0].placementConstraints[0]: '=' is not an operator at position 16: expected an operator"
            "\n  attribute:stack = x\n                  ^",
        ),
        (
            "hosts: [{type: m5.large}]\n" + WEB + "services:\n- {serviceName: s, taskDefinition: web}\n"
            "- {serviceName: s, taskDefinition: web}",
            "c.yaml, line 5: services[1].serviceName: service s is described twice",
        ),
        ("hosts: [{type: m5.large}]\nregion: Mars", "region: string should match pattern"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(text: str, told: str) -> None:
    assert told in mistake(text)


def test_dates_are_those_of_expressions() -> None:
    cluster = planned(
        "hosts:\n"
        "- {id: a, type: m5.large, registeredAt: 2026-01-31}\n"
        "- {id: b, type: m5.large, registeredAt: 2026-01-31T01:00:00+01:00}\n"
        "- {id: c, type: m5.large, registeredAt: '2026-01-31T00:00:00Z'}\n"
        "- {id: d, type: m5.large, registeredAt: 1769817600.0}\n"
        "- {id: e, type: m5.large}\n"
    )
    moments = [instance.registered_at for instance in cluster.instances.values()]
    assert moments == [1769817600.0] * 4 + [0.0]


def test_what_is_probably_not_meant_is_noted_with_its_line() -> None:
    cluster = planned(
        "hosts:\n"
        "- {type: m5.large, zones: [a, us-east-1b, us-east-1q]}\n"
        "- type: m5.large\n"
        "  zone: nowhere\n"
        "  agentVersion: foo\n"
        "- {id: own, cpu: 1000, memory: 1000, agentVersion: v1.9}\n"
        "- {type: m5.large, memory: 7764}\n"
        "- type: m5.large\n"
        "  cpu: 4096\n"
        "  memory: 16384\n"
        "  tasks: [{taskDefinition: web, group: 'service:wep'}]\n" + WEB + "services:\n"
        "- {serviceName: web, taskDefinition: web, zones: [a, f]}\n"
    )
    assert cluster.notes == [
        "c.yaml, line 4: hosts[1].zone: nowhere is no zone of us-east-1, which has us-east-1a, us-east-1b, "
        "us-east-1c, us-east-1d, us-east-1e, us-east-1f; a letter is enough",
        "c.yaml, line 5: hosts[1].agentVersion: 'foo' is no version like 1.90.0: no comparison holds for it",
        "c.yaml, line 9: hosts[4].cpu: 4096 CPU units, but an m5.large has 2048",
        "c.yaml, line 10: hosts[4].memory: 16384 MiB, but an m5.large has 8192",
        "c.yaml, line 11: hosts[4].tasks[0].group: there is no such service; did you mean service:web?",
        "c.yaml, line 14: services[0].zones[1]: no host is in f",
    ]


def test_of_a_running_cluster_nothing_is_doubted() -> None:
    """Its zones and versions are as they are, and it has no lines."""
    document = {"hosts": [{"type": "m5.large", "cpu": 1, "memory": 99999, "zone": "x1", "agentVersion": "x"}]}
    assert plan(observed(document)).notes == []


def test_many_mistakes_are_told_at_once_but_not_all() -> None:
    hosts = "".join(f"  - {{type: m5.large, x{n}: 1}}\n" for n in range(14))
    lines = mistake(f"hosts:\n{hosts}").splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [f"c.yaml, line {n}" for n in range(2, 12)]
    assert lines[-1] == "… and 4 more mistakes"


def test_json_that_is_wrong_has_no_line_but_a_place() -> None:
    assert mistake('{"hosts": [{"typ": "m5.large"}]}').startswith("c.yaml: hosts[0]")


@pytest.mark.parametrize(
    "given",
    [["binpack:memory"], ["spread:host"], [{"type": "spread", "field": "attribute:rack"}], ["random"]],
)
def test_strategies_are_words_or_ecs_s_objects(given: Any) -> None:
    document = {
        "services": [{"serviceName": "s", "taskDefinition": "web", "placementStrategy": given}],
    }
    (service,) = ClusterFile.model_validate(document).services
    (strategy,) = service.placement_strategy
    assert (strategy.type, strategy.field) in {
        ("binpack", "memory"),
        ("spread", "instanceId"),
        ("spread", "attribute:rack"),
        ("random", ""),
    }


def test_ten_thousand_hosts_are_read_in_a_moment() -> None:
    began = time.process_time()
    cluster = planned("hosts: [{count: 10000, type: m5.large}]")
    assert len(cluster.fleet) == 10_000
    assert time.process_time() - began < 2.0


def test_a_chain_or_a_rule_may_stand_in_one_text() -> None:
    planned = plan(
        load(
            """
hosts: [{count: 2, type: m5.large}]
taskDefinitions: [{family: web, cpu: 1, memory: 1}]
services:
  - {serviceName: s, taskDefinition: web, placementStrategy: "spread:instanceId,binpack:cpu",
     placementConstraints: distinctInstance}
""",
            "c.yaml",
        )
    )
    service = planned.services["s"]
    assert [each.type for each in service.placement_strategy] == ["spread", "binpack"]
    assert [each.type for each in service.placement_constraints] == ["distinctInstance"]
