"""Finding the Docker engine, over sockets that really answer, and judging it."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from miniecs.cli import engine, engine_place
from miniecs.cli.engine import Engine
from miniecs.cli.problem import Problem
from miniecs.docker_api import DockerApi

from .conftest import FakeEngine

HERE = {"OperatingSystem": "Debian GNU/Linux 12", "KernelVersion": platform.release(), "DockerRootDir": "/d"}
GOOD = Engine("unix:///d.sock", "local root", "Docker 28.2.2", api="1.50")


def bridge(gateway: str) -> dict[str, Any]:
    return {"IPAM": {"Config": [{"Subnet": "172.17.0.0/16", "Gateway": gateway}]}}


def test_the_engine_that_docker_host_names(docker: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    assert engine.find() == Engine(docker.host, "VM", "Docker 28.2.2", api="1.50")


def test_the_engine_of_the_current_context(docker: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "mine"}')
    meta = tmp_path / "contexts/meta" / sha256(b"mine").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Endpoints": {"docker": {"Host": docker.host}}}))
    assert engine.find().host == docker.host


@pytest.mark.parametrize(
    ("gateway", "kind"),
    [("127.0.0.1", "local root"), ("127.0.0.1/8", "local root"), ("192.0.2.1", "elsewhere")],
)
def test_an_engine_whose_networks_are_not_here(
    docker: FakeEngine, monkeypatch: pytest.MonkeyPatch, gateway: str, kind: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(engine_place, "_in_our_namespace", lambda host: None)  # as without root
    docker.answers |= {"/info": HERE, "/networks/bridge": bridge(gateway)}
    assert engine.find(docker.host) == Engine(docker.host, kind, "Docker 28.2.2", api="1.50", folder="/d")


def test_who_listens_tells_whose_networks_they_are(docker: FakeEngine) -> None:
    docker.answers |= {"/info": HERE, "/networks/bridge": bridge("192.0.2.1")}
    assert engine_place._in_our_namespace(docker.host) is True
    assert engine.find(docker.host).kind.startswith("local")


def test_an_engine_without_a_default_bridge_is_taken_at_its_word(
    docker: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    docker.answers["/info"] = HERE
    assert engine.fit(docker.host).kind == "local non-root"


def test_an_engine_that_is_not_there(docker: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker.host + ".none")
    found = engine.find()
    assert (found.kind, found.trouble) == ("", "there is no such socket")
    assert found.cure == "start it, or choose another with DOCKER_HOST or `docker context use`"
    with pytest.raises(Problem) as refused:
        engine.fit()
    assert str(refused.value) == (
        f"No Docker engine can be used at {docker.host}.none: there is no such socket. To have one: "
        f"{found.cure}. Or start with --runtime simulated, which needs no engine."
    )


def test_a_socket_that_is_not_ours_to_use(docker: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(DockerApi, "call", refused)
    said = "its socket is not yours to use. To have one: add yourself to its group"
    with pytest.raises(Problem, match=said):
        engine.fit(docker.host)


def test_an_engine_behind_ssh_is_not_asked(docker: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@host")
    found = engine.find()
    assert (found.kind, found.trouble) == ("remote", "engines behind ssh are not asked")


def test_an_engine_of_a_class_that_cannot_work_is_refused(docker: FakeEngine) -> None:
    with pytest.raises(Problem) as refused:
        engine.fit(docker.host)
    assert str(refused.value) == (
        f"The Docker engine at {docker.host} (Docker 28.2.2) cannot be used: it runs in a virtual machine, "
        "and the container instances' addresses could not be reached from here. Run miniecs within that "
        "machine, or in a Linux with an engine of its own. See docs/engines.md. Or start with "
        "--runtime simulated, which needs no engine."
    )


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("local root", ""),
        ("local non-root", ""),
        ("rootless", "it is rootless, "),
        ("VM", "it runs in a virtual machine, "),
        ("elsewhere", "its networks are not those of this place: "),
        ("remote", "it is on another machine. "),
    ],
)
def test_what_the_class_of_an_engine_allows(kind: str, said: str) -> None:
    obstacle = engine.obstacle(replace(GOOD, kind=kind))
    assert obstacle.startswith(said)
    assert bool(obstacle) == bool(said)
    assert kind in (Path(__file__).parents[2] / "docs/engines.md").read_text()


@pytest.mark.parametrize(
    ("api", "fits"), [("1.31", False), ("1.32", True), ("1.9", False), ("2.0", True), ("", False)]
)
def test_an_engine_that_is_too_old(api: str, fits: bool) -> None:
    assert (engine.obstacle(replace(GOOD, api=api)) == "") is fits


def test_the_agent_refuses_the_same_engines() -> None:
    from miniecs_agent.docker import client as docker_engine

    assert engine.OLDEST_API == docker_engine.OLDEST_API
