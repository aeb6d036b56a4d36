"""`miniecs lb` and `miniecs deployments` on a real server: on a terminal, without one, and in scripts."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import MINIECS, Cli, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cli-live")]

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;[^\x1b]*\x1b\\")


@pytest.fixture(scope="module")
def web(running: Cli) -> Iterator[Cli]:
    """The shared server with a service `web` of two tasks behind load balancer `edge`."""
    balancer = running.aws(
        "elbv2", "create-load-balancer", "--name", "edge", "--subnets", "subnet-0a1", "subnet-0b2"
    )
    group = running.aws(
        "elbv2", "create-target-group", "--name", "pages", "--vpc-id", "vpc-1",
        "--protocol", "HTTP", "--port", "80",
    )["TargetGroups"][0]["TargetGroupArn"]
    running.aws(
        "elbv2", "create-listener", "--protocol", "HTTP", "--port", "80",
        "--load-balancer-arn", balancer["LoadBalancers"][0]["LoadBalancerArn"],
        "--default-actions", f"Type=forward,TargetGroupArn={group}",
    )
    register(running, "httpd:2.4")
    running.ecs(
        "CreateService", serviceName="web", taskDefinition="web", desiredCount=2,
        loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
    )
    yield running


def register(cli: Cli, image: str) -> None:
    """Another revision of task definition web."""
    container = {
        "name": "app", "image": image, "cpu": 64, "memory": 64, "portMappings": [{"containerPort": 80}],
    }
    cli.ecs("RegisterTaskDefinition", family="web", containerDefinitions=[container])


class Terminal:
    """A command on a terminal of 24 lines and 80 columns."""

    def __init__(self, cli: Cli, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [MINIECS, *arguments],
            env=cli.environment | {"TERM": "xterm-256color"}, stdin=slave, stdout=slave, stderr=slave,
        )
        os.close(slave)
        self.raw = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def until(self, text: str, within: float = 30) -> None:
        """Read until the text was drawn."""
        deadline = time.monotonic() + within
        while text not in self.text:
            assert time.monotonic() < deadline, f"waited {within} s for {text!r} in:\n{self.text}"
            self._read(0.2)

    def end(self, number: signal.Signals | None = None) -> int:
        if number is not None:
            self.process.send_signal(number)
        deadline = time.monotonic() + 30
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
            self._read(0.2)
        self._read(0.0)
        return self.process.returncode

    @property
    def text(self) -> str:
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def _read(self, wait: float) -> None:
        while select.select([self._master], [], [], wait)[0]:
            try:
                read = os.read(self._master, 65536)
            except OSError:  # nobody has the other end any more
                return
            self.raw += read.decode(errors="replace")
            wait = 0.0


def steady(cli: Cli) -> None:
    def is_steady() -> bool:
        return bool(cli.client.get("deployments", service="web")["outcome"] == "STEADY")

    until(is_steady, "service web is steady")


def test_a_script_waits_until_the_service_is_steady(web: Cli) -> None:
    told = web.ok("deployments", "web", "--until-stable")
    assert told.splitlines()[-1] == "Service web is steady: 2 tasks of web:1."
    page = web.json("deployments", "web", "--until-stable")
    assert (page["outcome"], page["deployments"][0]["tasks"]["healthy"]) == ("STEADY", 2)


def test_without_a_terminal_pictures_are_printed_once(web: Cli) -> None:
    steady(web)
    lines = web.ok("deployments", "web").splitlines()
    assert lines[:2] == [
        "Service web is ACTIVE: 2 tasks wanted; minimumHealthyPercent 100 keeps 2, maximumPercent 200"
        " allows 4.",
        "Load balancer edge sends requests to 2 of 2 targets in target group pages.",
    ]
    assert lines[3].startswith("PRIMARY web:1  COMPLETED  made ")
    assert lines[5:7] == ["  ████████", "  █ 2 healthy  2 wanted"]
    assert re.search(r"^\d\d:\d\d:\d\d  has reached a steady state\.$", "\n".join(lines), re.MULTILINE)
    shown = web.ok("lb", "edge", "--once").splitlines()
    assert shown[0].startswith("application load balancer edge  edge-")
    assert shown[2:5] == [
        "    simulated: nothing listens",
        "    default → forward to pages",
        "  target group pages: GET / every 0.3 s, 2 of 2 healthy",
    ]
    assert [line.split()[4] for line in shown[6:8]] == ["healthy", "healthy"]
    assert web.json("lb")["loadBalancers"] == [web.json("lb", "edge")["loadBalancers"][0]]


def test_the_picture_of_deployments_is_drawn_once(web: Cli, tmp_path: Path) -> None:
    steady(web)
    picture = tmp_path / "out.svg"
    told = web.ok("deployments", "web", "--cluster", "default", "--plot", str(picture))
    assert told == f"Saved {picture}.\n"
    drawn = picture.read_text()
    assert "web:1: COMPLETED" in drawn and "steady state" in drawn
    assert "Healthy behind target groups: as their health checks found them." in drawn
    shown = web.json("deployments", "web", "--plot", str(tmp_path / "out.png"))
    assert shown["plot"] == str(tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert shown["deployments"][0]["tasks"]["healthy"][-1] == 2
    assert {"began", "completed", "steady"} <= {each["kind"] for each in shown["happened"]}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["web", "--plot", "out.pdf"], 2, "out.pdf: pictures are .svg or .png files"),
        (["web", "--plot", "/no/such/out.svg"], 2, "there is no folder /no/such"),
        (["web", "--plot", "out.svg", "--once"], 2, "--plot draws once and ends"),
        (["web", "--plot", "out.svg", "--until-stable"], 2, "--plot draws once and ends"),
        (["nothing", "--plot", "out.svg"], 1, "nothing"),
        (["web", "--plot", "out.svg", "--cluster", "nowhere"], 1, "nowhere"),
    ],
)
def test_pictures_that_cannot_be_drawn(web: Cli, arguments: list[str], code: int, told: str) -> None:
    refused, message = web.refused("deployments", *arguments)
    assert refused == code, message
    assert told in " ".join(message.replace("│", " ").split())


def test_a_picture_without_a_server(tmp_path: Path) -> None:
    code, message = Cli(tmp_path / "none").refused("deployments", "web", "--plot", str(tmp_path / "out.svg"))
    assert code == 1 and "miniecs is not running on the data folder" in message
    assert not (tmp_path / "out.svg").exists()


def test_status_tells_of_load_balancers(web: Cli) -> None:
    steady(web)
    assert re.search(r"^edge +2 +2 +web +-$", web.ok("status"), re.MULTILINE)


def test_a_picture_is_drawn_until_ctrl_c_and_its_last_state_stays(web: Cli) -> None:
    steady(web)
    with Terminal(web, "lb") as terminal:
        terminal.until("2 of 2 healthy")
        assert "\x1b[?1049h" in terminal.raw
        web.ecs("UpdateService", service="web", desiredCount=3)
        terminal.until("3 of 3 healthy")
        assert terminal.end(signal.SIGINT) == 0
    left = _ESCAPES.sub("", terminal.raw.rpartition("\x1b[?1049l")[2])
    assert "3 of 3 healthy" in left
    assert "Traceback" not in terminal.text
    assert max(map(len, left.splitlines())) <= 80


def test_a_deployment_is_watched_until_it_is_done(web: Cli) -> None:
    register(web, "httpd:2.4")
    web.ecs("UpdateService", service="web", taskDefinition="web:2", desiredCount=2)
    with Terminal(web, "deployments", "web", "--until-stable") as terminal:
        assert terminal.end() == 0
    assert terminal.text.rstrip().endswith("Service web is steady: 2 tasks of web:2.")
    assert "PRIMARY web:2" in terminal.text


def test_a_deployment_that_fails_is_exit_code_1(web: Cli) -> None:
    register(web, "sim/answers-503")
    many = {"type": "COUNT", "value": 6}  # failed tasks, or the rollback were over before anyone looked
    breaker = {"enable": True, "rollback": True, "thresholdConfiguration": many}
    configuration = {"deploymentCircuitBreaker": breaker}
    web.ecs("UpdateService", service="web", taskDefinition="web:3", deploymentConfiguration=configuration)
    ran = web("deployments", "web", "--until-stable")
    assert (ran.returncode, ran.stderr) == (1, ""), ran.stdout
    assert re.match(r"The deployment of (web:3|service web) failed", ran.stdout.splitlines()[-1])
    steady(web)


def test_a_restarted_server_is_waited_for(web: Cli) -> None:
    supervisor = json.loads((web.data_dir / "supervisor.json").read_text())["pid"]
    with Terminal(web, "deployments", "web") as terminal:
        terminal.until("PRIMARY web:")
        os.kill(supervisor, signal.SIGSTOP)  # or the server were back before anyone looked
        try:
            os.kill(web.json("status")["pid"], signal.SIGKILL)
            terminal.until("reconnecting: no answer for ")
        finally:
            os.kill(supervisor, signal.SIGCONT)
        until(lambda: _answers(web), "the server is back")
        terminal.raw = ""
        terminal.until("PRIMARY web:")
        assert terminal.end(signal.SIGINT) == 0


def _answers(cli: Cli) -> bool:
    ran = cli("status", "--output", "json")
    return ran.returncode == 0


def test_wrong_ways_to_ask(web: Cli) -> None:
    code, message = web.refused("deployments", "web", "--once", "--until-stable")
    assert code == 2
    assert "--once and --until-stable exclude each other: give one of them." in message
    assert web.refused("lb", "nonesuch") == (
        1,
        "miniecs: There is no load balancer 'nonesuch'; there are: edge.\n",
    )
    assert web.refused("deployments", "nonesuch", "--until-stable")[1].startswith(
        "miniecs: There is no service 'nonesuch'. "
    )
