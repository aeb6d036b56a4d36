"""What a task definition says, as its containers see it: from RegisterTaskDefinition to the engine.

Each setting alone is tested beside the agent; here nothing between the two may lose one.
"""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path
from typing import Any

from .commands import OBEDIENT
from .daemon import Engine
from .miniecs import Miniecs
from .waiting import until

MIB = 1024 * 1024
SERVE = "mkdir -p /www; echo it is $WHO > /www/index.html; exec httpd -f -p 80 -h /www"


def inspected(miniecs: Miniecs, engine: Engine, arn: str, name: str = "app") -> dict[str, Any]:
    (id,) = [each["runtimeId"] for each in miniecs.task(arn)["containers"] if each["name"] == name]
    found: dict[str, Any] = engine.client.api.inspect_container(id)
    return found


def printed(miniecs: Miniecs, *containers: dict[str, Any], name: str = "app", **more: Any) -> list[str]:
    """What a container of a task wrote until the task's end."""
    (arn,) = miniecs.run(miniecs.register("says", *containers, **more))
    miniecs.reaches(arn, "STOPPED")
    done = miniecs.command("logs", arn, "-c", name)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_settings_of_a_process(miniecs: Miniecs) -> None:
    script = (
        "id -u; id -g; pwd; hostname; ulimit -n; ulimit -c; touch /x 2>&1; touch /tmp/x 2>&1;"
        " echo \"$A|$B|$1\"; cat /proc/1/comm; grep -c '^10.1.2.3.elsewhere' /etc/hosts;"
        " grep ^search /etc/resolv.conf; cat /proc/sys/net/core/somaxconn;"
        " df -k /dev/shm | awk 'NR==2 {print $2}'; df -k /small | awk 'NR==2 {print $2}';"
        " test -c /dev/other && echo device; grep CapBnd /proc/self/status; test -t 1 || echo no terminal"
    )
    container = {
        "name": "app",
        "entryPoint": ["sh", "-c", script],
        "command": ["x", "argument"],
        "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "two words"}],
        "user": "1000:1001",
        "workingDirectory": "/etc",
        "hostname": "web-7",
        "ulimits": [
            {"name": "nofile", "softLimit": 99, "hardLimit": 100},
            {"name": "core", "softLimit": 0, "hardLimit": 0},
        ],
        "readonlyRootFilesystem": True,
        "extraHosts": [{"hostname": "elsewhere", "ipAddress": "10.1.2.3"}],
        "dnsServers": ["192.0.2.53"],
        "dnsSearchDomains": ["example.test"],
        "systemControls": [{"namespace": "net.core.somaxconn", "value": "777"}],
        "linuxParameters": {
            "initProcessEnabled": True,
            "sharedMemorySize": 8,
            "tmpfs": [{"containerPath": "/small", "size": 4}],
            "devices": [{"hostPath": "/dev/zero", "containerPath": "/dev/other"}],
            "capabilities": {"drop": ["ALL"]},
        },
    }
    assert printed(miniecs, container) == [
        "1000", "1001", "/etc", "web-7", "99", "0", "touch: /x: Read-only file system",
        "touch: /tmp/x: Read-only file system", "1|two words|argument", "docker-init", "1",
        "search example.test", "777", "8192", "4096", "device", "CapBnd:\t0000000000000000", "no terminal",
    ]  # fmt: skip


def test_a_terminal(miniecs: Miniecs) -> None:
    app = {"name": "app", "command": ["sh", "-c", "test -t 1 && echo a terminal"], "pseudoTerminal": True}
    assert printed(miniecs, app) == ["a terminal"]


def test_limits_labels_and_names(miniecs: Miniecs, engine: Engine) -> None:
    container = {
        "name": "app",
        "command": OBEDIENT,
        "cpu": 64,
        "memory": 48,
        "memoryReservation": 24,
        "dockerLabels": {"team": "a", "com.amazonaws.ecs.cluster": "another"},
        "linuxParameters": {"maxSwap": 16, "capabilities": {"add": ["NET_ADMIN"], "drop": ["MKNOD"]}},
        "dockerSecurityOptions": ["no-new-privileges"],
        "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
    }
    (arn,) = miniecs.run(
        miniecs.register("limits", container, {"name": "plain", "cpu": 0, "command": OBEDIENT})
    )
    miniecs.reaches(arn, "RUNNING")
    made = inspected(miniecs, engine, arn)
    host = made["HostConfig"]
    assert {name: host[name] for name in ("CpuShares", "Memory", "MemoryReservation", "MemorySwap", "CapAdd",
                                          "CapDrop", "SecurityOpt", "LogConfig", "Privileged")} == {
        "CpuShares": 64, "Memory": 48 * MIB, "MemoryReservation": 24 * MIB, "MemorySwap": 64 * MIB,
        "CapAdd": ["NET_ADMIN"], "CapDrop": ["MKNOD"], "SecurityOpt": ["no-new-privileges"],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "Privileged": False,
    }  # fmt: skip
    # A user's label does not hide whose the container is.
    ours = {name: value for name, value in made["Config"]["Labels"].items() if name.startswith("com.amazon")}
    assert ours == {
        "com.amazonaws.ecs.cluster": "default",
        "com.amazonaws.ecs.task-arn": arn,
        "com.amazonaws.ecs.container-name": "app",
        "com.amazonaws.ecs.task-definition-family": "limits",
        "com.amazonaws.ecs.task-definition-version": made["Config"]["Labels"][
            "com.amazonaws.ecs.task-definition-version"
        ],
    }
    assert made["Config"]["Labels"]["team"] == "a"
    assert made["Name"].startswith("/ecs-limits-") and "-app-" in made["Name"]
    assert inspected(miniecs, engine, arn, "plain")["HostConfig"]["CpuShares"] == 2  # as the ECS agent's


def test_overrides_stand_over_the_definition(miniecs: Miniecs, engine: Engine) -> None:
    container = {
        "name": "app",
        "command": ["sh", "-c", "exit 1"],
        "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    }
    override = {
        "name": "app",
        "command": ["sh", "-c", "echo $A $B $C"],
        "environment": [{"name": "B", "value": "two"}, {"name": "C", "value": "3"}],
        "memory": 32,
        "cpu": 16,
    }
    (arn,) = miniecs.run(
        miniecs.register("overridden", container), overrides={"containerOverrides": [override]}
    )
    assert miniecs.reaches(arn, "STOPPED")["containers"][0]["exitCode"] == 0
    assert miniecs.ok("logs", arn) == "1 two 3\n"
    host = inspected(miniecs, engine, arn)["HostConfig"]
    assert (host["Memory"], host["CpuShares"]) == (32 * MIB, 16)


def test_volumes_of_every_kind_are_shared_and_removed(
    miniecs: Miniecs, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "page").write_text("from the host\n")
    shared = f"miniecs-test-{miniecs.settings['owner']}"
    kinds: dict[str, dict[str, Any]] = {
        "empty": {"host": {}},
        "nothing": {},
        "path": {"host": {"sourcePath": str(tmp_path)}},
        "docker": {"dockerVolumeConfiguration": {"scope": "task", "driver": "local", "labels": {"of": "us"}}},
        shared: {"dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True}},
    }
    written = " ".join(f"/{kind}/a" for kind in kinds if kind != "path")
    writer = {
        "name": "writer",
        "command": [
            "sh",
            "-c",
            f"for f in {written}; do echo $f > $f; done; touch /path/x 2>&1; {OBEDIENT[2]}",
        ],
        "mountPoints": [
            {"sourceVolume": kind, "containerPath": f"/{kind}", "readOnly": kind == "path"} for kind in kinds
        ],
    }
    reader = {
        "name": "app",
        "command": ["sh", "-c", f"until test -e /{shared}/a; do sleep 0.05; done; cat {written} /path/page;"
                    " touch /empty/x 2>&1"],
        "volumesFrom": [{"sourceContainer": "writer", "readOnly": True}],
    }  # fmt: skip
    volumes = [{"name": kind, **settings} for kind, settings in kinds.items()]
    assert printed(miniecs, writer, reader, volumes=volumes) == [
        *written.split(), "from the host", "touch: /empty/x: Read-only file system"
    ]  # fmt: skip
    assert sorted(each.name for each in tmp_path.iterdir()) == ["page"]
    ours = {"label": f"miniecs.owner={miniecs.settings['owner']}"}
    found = {each.name: each.attrs["Labels"] for each in engine.client.volumes.list(filters=ours)}
    assert shared in found
    assert [name for name, labels in found.items() if labels.get("of") == "us"]


# Networks


def test_links_and_ports(miniecs: Miniecs) -> None:
    """A linked container by both its names, from outside at a fixed and at dynamic ports, TCP and UDP."""
    arrives = "until grep -q '^Udp: [0-9]* [1-9]' /proc/net/snmp; do sleep 0.05; done; echo datagram"
    server = {
        "name": "server",
        "command": ["sh", "-c", SERVE],
        "environment": [{"name": "WHO", "value": "served"}],
        "portMappings": [
            {"containerPort": 80, "hostPort": 8471},
            {"containerPort": 80, "hostPort": 0},
            {"containerPort": 53, "hostPort": 0, "protocol": "udp"},
        ],
    }
    asks = "until wget -qO- http://alias/ 2>/dev/null; do sleep 0.05; done; wget -qO- http://server/"
    client = {
        "name": "app",
        "command": ["sh", "-c", f"{asks}; {OBEDIENT[2]}"],
        "links": ["server:alias"],
    }
    (arn,) = miniecs.run(miniecs.register("ports", server, client))
    task = miniecs.reaches(arn, "RUNNING")
    (bindings,) = [each["networkBindings"] for each in task["containers"] if each["name"] == "server"]
    assert [(each["containerPort"], each["protocol"]) for each in bindings] == [
        (80, "tcp"), (80, "tcp"), (53, "udp")
    ]  # fmt: skip
    assert bindings[0]["hostPort"] == 8471
    assert all(32768 <= each["hostPort"] <= 60999 for each in bindings[1:])
    until("both answers", lambda: miniecs.ok("logs", arn, "-c", "app") == "it is served\nit is served\n")
    for binding in bindings[:2]:
        with urllib.request.urlopen(f"http://{binding['bindIP']}:{binding['hostPort']}/", timeout=10) as page:
            assert page.read() == b"it is served\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", (bindings[2]["bindIP"], bindings[2]["hostPort"]))
    # Nothing listens there in the container, and its kernel counts what came.
    assert miniecs.ok("exec", arn, "-c", "server", "--", "timeout", "20", "sh", "-c", arrives) == "datagram\n"
    addresses = [each["addresses"] for each in miniecs.json("ps")["tasks"] if each["arn"] == arn][0]
    assert addresses == [
        f"{'udp' if each['protocol'] == 'udp' else 'http'}://{each['bindIP']}:{each['hostPort']}"
        for each in bindings
    ]


def test_no_network_and_the_hosts(miniecs: Miniecs) -> None:
    names = {"name": "app", "command": ["ls", "/sys/class/net"]}
    assert printed(miniecs, names, networkMode="none") == ["lo"]
    assert {"lo", "docker0"} <= set(printed(miniecs, names, networkMode="host"))


def test_a_health_check_is_the_definitions(miniecs: Miniecs, engine: Engine) -> None:
    check = {"command": ["CMD-SHELL", "test ! -e /sick"], "interval": 10, "timeout": 4, "retries": 2}
    container = {"name": "app", "command": OBEDIENT, "healthCheck": check}
    (arn,) = miniecs.run(miniecs.register("checked", container))
    miniecs.reaches(arn, "RUNNING")
    until("it to be HEALTHY", lambda: miniecs.task(arn)["healthStatus"] == "HEALTHY")
    miniecs.ok("exec", arn, "--", "touch", "/sick")
    until("it to be UNHEALTHY", lambda: miniecs.task(arn)["healthStatus"] == "UNHEALTHY")
    miniecs.ok("exec", arn, "--", "rm", "/sick")
    until("it to be HEALTHY again", lambda: miniecs.task(arn)["containers"][0]["healthStatus"] == "HEALTHY")
    assert miniecs.task(arn)["lastStatus"] == "RUNNING"
    second = 1_000_000_000
    made = inspected(miniecs, engine, arn)["Config"]["Healthcheck"]
    assert json.loads(json.dumps(made)) == {
        "Test": check["command"], "Interval": second, "Timeout": 4 * second, "Retries": 2
    }  # fmt: skip
