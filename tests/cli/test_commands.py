"""Asking a running server: what each command prints, for people and as JSON."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from miniecs import __version__

from .conftest import BIN, MINIECS, Cli, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cli-commands")]


@pytest.fixture(scope="module")
def web(running: Cli) -> Iterator[Cli]:
    """The shared server with a service `web` of two tasks."""
    running.make_service("web")
    yield running


def test_status(web: Cli) -> None:
    status = web.json("status")
    (cluster,) = status["clusters"]
    expected = {
        "version": __version__,
        "runtime": "simulated",
        "account": "000000000000",
        "region": "us-east-1",
        "timeScale": 100.0,
        "dataDir": str(web.data_dir),
    }
    assert {name: status[name] for name in expected} == expected
    assert cluster["name"] == "default"
    assert cluster["services"][0]["name"] == "web"
    assert (cluster["services"][0]["desired"], cluster["services"][0]["running"]) == (2, 2)
    text = web.ok("status")
    assert f"at {status['endpoint']}, simulated runtime, ECS's waits 100 times shorter" in text
    assert re.search(r"^web +ACTIVE +2 +2 +0 ", text, re.MULTILINE)


def test_ps(web: Cli) -> None:
    tasks = [t for t in web.json("ps")["tasks"] if t["service"] == "web"]
    assert {(t["definition"], t["group"], t["lastStatus"], t["cluster"]) for t in tasks} == {
        ("web:1", "service:web", "RUNNING", "default")
    }
    described = web.ecs("DescribeTasks", tasks=[t["arn"] for t in tasks])["tasks"]
    ports = {t["taskArn"]: t["containers"][0]["networkBindings"][0]["hostPort"] for t in described}
    instances = {i["id"]: i["privateIp"] for i in web.json("instance", "ls")["instances"]}
    assert [t["addresses"] for t in tasks] == [
        [f"http://{instances[t['instance']]}:{ports[t['arn']]}"] for t in tasks
    ]
    lines = web.ok("ps").splitlines()
    assert lines[0].split() == "TASK GROUP DEFINITION STATUS HEALTH ZONE INSTANCE ADDRESS AGE".split()
    assert {line.split()[0] for line in lines if " web:1 " in line} == {t["id"][:8] for t in tasks}
    assert lines[-1] == "Simulated: nothing listens at these addresses."


def test_ps_shows_stopped_tasks_and_why_when_asked(web: Cli) -> None:
    started = web.ecs("RunTask", taskDefinition="web")["tasks"][0]["taskArn"]
    web.ecs("StopTask", task=started, reason="enough of it")

    def stopped() -> list[str]:
        tasks = web.client.get("tasks", all=True)["tasks"]
        return [t["stoppedReason"] for t in tasks if t["arn"] == started and t["lastStatus"] == "STOPPED"]

    until(lambda: stopped() == ["enough of it"], "the task is STOPPED")
    assert started not in [t["arn"] for t in web.json("ps")["tasks"]]
    shown = web.ok("ps", "--all")
    assert re.search(rf"^{started[-32:][:8]} .* STOPPED .* enough of it$", shown, re.MULTILINE)


def test_ps_of_one_cluster(web: Cli) -> None:
    assert web.json("ps", "--cluster", "elsewhere")["tasks"] == []
    assert len(web.json("ps", "--cluster", "default")["tasks"]) >= 2


def test_events_of_a_service_tell_its_whole_story_in_order(web: Cli) -> None:
    page = web.json("events", "web")
    seqs = [event["seq"] for event in page["events"]]
    assert seqs == sorted(seqs)
    assert page["last"] == seqs[-1]
    texts = [event["text"] for event in page["events"]]
    started = [text for text in texts if text.startswith("(service web) has started 1 tasks: (task ")]
    assert len(started) == 2  # the first resolves the image's tag
    assert texts.count("web:1 is RUNNING") == 2
    assert all(event["because"] for event in page["events"] if event["text"] == "web:1 is PENDING")
    shown = web.ok("events", "web")
    assert re.search(r"^\d\d:\d\d:\d\d  service web  \(service web\) has started", shown, re.MULTILINE)


def test_events_are_followed_line_by_line_until_interrupted(web: Cli) -> None:
    follower = subprocess.Popen(
        [MINIECS, "events", "-f", "default", "--limit", "1", "--output", "json"],
        env=web.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert follower.stdout is not None
    first = json.loads(follower.stdout.readline())
    task = web.ecs("RunTask", taskDefinition="web")["tasks"][0]["taskArn"]
    following = (json.loads(line) for line in follower.stdout)
    seen = next(event for event in following if event["resource"] == task)
    assert (seen["kind"], seen["seq"] > first["seq"]) == ("ECS Task State Change", True)
    follower.send_signal(signal.SIGINT)
    _, err = follower.communicate(timeout=10)
    assert (follower.returncode, err) == (0, "")
    web.ecs("StopTask", task=task)


def test_explain_by_name_by_digits_and_by_arn(web: Cli) -> None:
    task = web.tasks("web")[0]
    explained = web.json("explain", "web")
    assert (explained["kind"], explained["details"]["desired"]) == ("service", 2)
    assert explained["lines"][0].startswith("Service web is ACTIVE: 2 tasks wanted;")
    for name in (task["id"], task["id"][:8], task["arn"]):
        assert web.json("explain", name)["arn"] == task["arn"]
    text = web.ok("explain", task["id"][:8])
    assert text.startswith(f"Task {task['id']} of web:1: lastStatus RUNNING, desiredStatus RUNNING.\n")
    instance = web.json("explain", task["instance"][:8])
    assert instance["kind"] == "container instance"
    held = f"Task {task['id'][:8]} of web:1 (service:web) is RUNNING: 64 CPU units, 64 MiB."
    assert held in instance["lines"]


def test_a_name_that_nothing_has(web: Cli) -> None:
    assert web.refused("explain", "nonesuch") == (
        1,
        "miniecs: There is no service, task, container instance, cluster, load balancer, target group or "
        "capacity provider 'nonesuch'. `miniecs status` lists clusters and services, `miniecs ps --all` "
        "tasks and instances.\n",
    )
    assert web.refused("explain", "1234567")[1].endswith(
        "Give at least 8 digits of an id; `miniecs ps --all` lists them.\n"
    )


def test_an_instance_comes_drains_and_goes(web: Cli) -> None:
    arn = web.ok("instance", "add", "--type", "m5.large", "--zone", "b", "--attribute", "disk=ssd").strip()
    (added,) = [i for i in web.json("instance", "ls")["instances"] if i["arn"] == arn]
    expected = {
        "type": "m5.large",
        "zone": "us-east-1b",
        "attributes": {"disk": "ssd"},
        "agentConnected": True,
        "status": "ACTIVE",
        "cpu": {"registered": 2048, "remaining": 2048},
    }
    assert {name: added[name] for name in expected} == expected
    task = web.ecs("StartTask", taskDefinition="web", containerInstances=[arn])["tasks"][0]
    short = added["id"][:8]
    message = web.refused("instance", "rm", arn)[1]
    assert message == (
        f"miniecs: 1 task is on container instance {short}. Drain it first (`miniecs instance drain "
        f"{short}`) and wait until they have moved, or stop them with it (`miniecs instance rm {short} "
        "--force`).\n"
    )
    assert web.json("instance", "drain", short) == {"arn": arn, "status": "DRAINING"}
    assert web.json("explain", arn)["details"]["status"] == "DRAINING"
    assert web.json("instance", "rm", added["id"], "--force") == {"arn": arn, "removed": True}
    assert arn not in [i["arn"] for i in web.json("instance", "ls")["instances"]]

    def stopped() -> bool:
        (described,) = web.ecs("DescribeTasks", tasks=[task["taskArn"]])["tasks"]
        return bool(described["lastStatus"] == "STOPPED")

    until(stopped, "the task of the removed instance is STOPPED")


def test_several_instances_at_once(web: Cli) -> None:
    added = web.json("instance", "add", "--count", "2")["instances"]
    assert [(i["type"], i["agentConnected"]) for i in added] == [("t3.medium", True)] * 2
    for instance in added:
        web.ok("instance", "rm", instance["id"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--type", "t9.huge"], "'t9.huge' is not a known instance type. Known are: t2 (nano, "),
        (["--zone", "eu-west-1a"], "There is no zone 'eu-west-1a' in region us-east-1; give one like "),
        (["--attribute", "ecs.os-type=plan9"], "The attribute 'ecs.os-type' is set by the agent; "),
        (["--cluster", "nowhere"], "Cluster not found."),
    ],
)
def test_an_instance_that_cannot_be(web: Cli, arguments: list[str], message: str) -> None:
    code, said = web.refused("instance", "add", *arguments)
    assert code == 1
    assert said.startswith(f"miniecs: {message}")


def test_env_is_all_that_the_aws_cli_needs(web: Cli) -> None:
    variables = web.json("env")
    endpoint = web.json("status")["endpoint"]
    assert variables == {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "miniecs",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }
    assert web.ok("env") == "".join(f"export {name}={value}\n" for name, value in variables.items())
    assert web.aws("sts", "get-caller-identity")["Account"] == "000000000000"


def test_env_clears_what_would_stand_in_the_way(web: Cli) -> None:
    script = f'eval "$({MINIECS} env)"; exec {BIN}/aws ecs list-clusters --output json'
    in_the_way = {"AWS_PROFILE": "work", "AWS_ENDPOINT_URL_ECS": "http://127.0.0.1:9", "AWS_REGION": "x"}
    listed = subprocess.run(
        ["bash", "-c", script], env=web.environment | in_the_way, capture_output=True, text=True, timeout=60
    )
    assert json.loads(listed.stdout)["clusterArns"] == ["arn:aws:ecs:us-east-1:000000000000:cluster/default"]


def test_doctor_names_what_it_found(web: Cli) -> None:
    found = web.json("doctor")
    assert found["ok"] is True
    results = {check["name"]: check["result"] for check in found["checks"]}
    assert list(results)[:6] == ["Python", "system", "data folder", "port", "AWS CLI", "Docker engine"]
    assert {results[name] for name in ("Python", "system", "data folder", "port")} == {"ok"}


def test_nothing_but_plain_text_without_a_terminal(web: Cli) -> None:
    for arguments in (["status"], ["ps"], ["events"], ["explain", "web"], ["instance", "ls"], ["doctor"]):
        assert "\x1b" not in web.ok(*arguments)


def test_a_reader_that_stops_reading_is_no_error_of_ours(web: Cli) -> None:
    piped = subprocess.run(
        ["bash", "-c", f"{MINIECS} events --limit 10000 --output json | head -c 1"],
        env=web.environment, capture_output=True, text=True, timeout=30,
    )
    assert (piped.stdout, piped.stderr) == ("{", "")


def test_zz_reset_wipes_and_restores(web: Cli) -> None:
    """Last in this module: it takes away what the other tests use."""
    assert web.json("reset") == {"status": "reset", "restored": False}
    assert web.json("status")["clusters"] == []
    assert web.ok("reset", "--restore").startswith("Everything is wiped and made anew: cluster default: 3 ")
    (cluster,) = web.json("status")["clusters"]
    assert (cluster["instances"]["connected"], cluster["services"]) == (3, [])
