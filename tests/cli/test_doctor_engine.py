"""What doctor says of an engine, by what the engine answers."""

from __future__ import annotations

import platform

import pytest

from miniecs.cli import doctor_engine
from miniecs.cli.check import Check
from miniecs.config import ServerSettings
from miniecs.images.provide import SAMPLES

from .conftest import FakeEngine


@pytest.fixture
def good(docker: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """An engine on which everything is as it should be."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    docker.answers |= {
        "/info": {"OperatingSystem": "Debian", "KernelVersion": platform.release(), "DockerRootDir": "/"},
        "/networks": [],
        "/images/json": [{"RepoTags": [name]} for name in SAMPLES] + [{"RepoTags": None}],
    }
    return docker


def of(docker: FakeEngine, runtime: str = "docker") -> list[Check]:
    return doctor_engine.checks(ServerSettings("/d", runtime=runtime, engine=docker.host))


def test_an_engine_that_has_everything(good: FakeEngine) -> None:
    checks = of(good)
    assert [(check.name, check.result) for check in checks] == [
        ("Docker engine", "ok"), ("engine's disk", "ok"), ("subnets", "ok"), ("sample images", "ok")
    ]
    assert checks[0].found == f"Docker 28.2.2, local root, at {good.host}"


def test_images_that_are_missing_are_named(good: FakeEngine) -> None:
    good.answers["/images/json"] = [{"RepoTags": [name]} for name in SAMPLES[1:]]
    assert of(good)[-1] == Check(
        "sample images", "warning", f"{SAMPLES[0]} not there", "`miniecs images` gets them."
    )


def test_networks_that_leave_no_room_are_told(good: FakeEngine) -> None:
    private = ("172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16")
    good.answers["/networks"] = [{"IPAM": {"Config": [{"Subnet": subnet}]}} for subnet in private]
    assert of(good)[2] == Check(
        "subnets",
        "warning",
        "0 more container instances can have a network of its own",
        "Remove networks that nobody needs: `docker network prune`.",
    )


def test_a_disk_that_is_full_is_told(good: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_engine, "LITTLE_SPACE", float("inf"))
    assert (of(good)[1].result, of(good)[1].do) == (
        "warning", "Make room (`docker system df` shows what is used)."
    )


def test_an_engine_that_breaks_off_is_told(good: FakeEngine) -> None:
    del good.answers["/images/json"]
    assert of(good)[-1] == Check("on the engine", "warning", "it did not tell: no such thing")


@pytest.mark.parametrize(("runtime", "result"), [("docker", "failed"), ("simulated", "warning")])
def test_an_engine_that_cannot_be_used_matters_to_who_needs_it(
    docker: FakeEngine, runtime: str, result: str
) -> None:
    (check,) = of(docker, runtime)
    assert (check.result, check.found) == (result, f"Docker 28.2.2, VM, at {docker.host}")
    assert check.do.startswith("It cannot be used: it runs in a virtual machine, ")
    (missing,) = doctor_engine.checks(ServerSettings("/d", runtime=runtime, engine=docker.host + ".none"))
    assert (missing.result, missing.found) == (result, f"{docker.host}.none: there is no such socket")
