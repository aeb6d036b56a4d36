"""`place`: on cluster files without a server, and on a running cluster, where it says what then happens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from miniecs.cli import app
from miniecs.cli.problem import Problem

from .conftest import Cli, until

FILE = """
cluster: shop
hosts:
  - {count: 6, type: m5.large, zones: [a, b, c]}
  - {id: old, type: m5.large, zone: a, status: DRAINING}
taskDefinitions:
  - {family: web, cpu: 256, memory: 2 GB}
services:
  - {serviceName: web, taskDefinition: web, count: 3, placementStrategy: [binpack:memory]}
"""
BY_ZONE = "spread:attribute:ecs.availability-zone,binpack:memory"


class Offline:
    """`miniecs place --file` in this process, on a data folder where nothing runs."""

    def __init__(self, capsys: pytest.CaptureFixture[str], file: Path) -> None:
        self.capsys = capsys
        self.file = file

    def ok(self, *arguments: str) -> str:
        assert app.run(["place", "--file", str(self.file), *arguments]) == 0
        return self.capsys.readouterr().out

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--output", "json"))

    def refused(self, *arguments: str, code: int = 2) -> str:
        with pytest.raises(Problem) as problem:
            app.run(["place", "--file", str(self.file), *arguments])
        assert problem.value.exit_code == code
        assert self.capsys.readouterr().out == ""
        return str(problem.value)


@pytest.fixture
def offline(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Offline:
    monkeypatch.setenv("MINIECS_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "shop.yaml").write_text(FILE)
    return Offline(capsys, tmp_path / "shop.yaml")


def test_where_tasks_go_and_why(offline: Offline) -> None:
    lines = offline.ok("--task-definition", "web", "--count", "4", "--strategy", BY_ZONE).splitlines()
    assert lines[0] == (
        f"cluster shop: 4 tasks of web:1 (256 CPU units, 2048 MiB each) in group family:web, by {BY_ZONE}"
    )
    table = [re.split(r" {2,}", line) for line in lines[2 : lines.index("", 2)]]
    assert table[0][:6] == ["HOST", "ZONE", "NEW", "ALL", "CPU LEFT", "MIB LEFT"]
    assert sorted(row[2] for row in table[1:]) in (["+1", "+1", "+2"], ["+1"] * 4)
    zones = [row[1] for row in table[1:]]
    assert zones == sorted(zones)
    whys = [row[6] for row in table[1:]]
    assert all("fewest; binpack memory: " in why for why in whys)
    assert re.match(r"4 of 4 tasks on [34] of 7 hosts\. family:web then has by zone: us-east-1a ", lines[-3])
    assert lines[-3].endswith(" (difference 1).")
    assert re.match(r"Losing any one host .* at most [12] of 4 .*; any one zone 2 of 4 tasks", lines[-2])
    assert re.match(r"Hosts left empty: [23]\. Stranded CPU units: ", lines[-1])


def test_what_finds_no_place_says_why_not(offline: Offline) -> None:
    text = offline.ok("--service", "web", "--count", "30", "--constraint", "memberOf:attribute:a exists")
    said = text.splitlines()
    assert said[2] == "None of 30 finds a place."
    assert said[3].startswith("Losing any one host takes down at most 3 of 3 tasks, 100 % (m5.large-")
    why = said.index("30 tasks without a place. Why the next one finds none:")
    assert said[why + 1 : why + 3] == [
        "  1 host: INACTIVE",
        "  6 hosts: MemberOf placement constraint unsatisfied.",
    ]
    assert re.match(r"Closest is m5.large-\d: memberOf \(attribute:a exists\): ", said[why + 3])
    assert said[why + 4] == "What would help: 6 hosts would fit without memberOf (attribute:a exists)."


def test_as_json(offline: Offline) -> None:
    answer = offline.json("--task-definition", "web:1", "--count", "25", "--strategy", "binpack:memory")
    assert answer["question"] == {
        "cluster": "shop",
        "taskDefinition": "web:1",
        "count": 25,
        "group": "family:web",
        "cpu": 256,
        "memory": 2048,
        "placementStrategy": ["binpack:memory"],
        "placementConstraints": [],
        "zones": None,
        "seed": 0,
        "capacityProviderStrategy": [],
    }
    assert (answer["placed"], answer["unplaced"]) == (21, 4)
    assert sum(host["tasks"] for host in answer["hosts"]) == len(answer["placements"]) == 21
    assert answer["rejected"] == {"INACTIVE": 1, "RESOURCE:MEMORY": 6}
    assert answer["measures"]["strandedCpu"] == {"amount": 6144, "of": 12288, "percent": 50.0, "hosts": 6}
    assert answer["notes"] == []


def test_strategies_side_by_side(offline: Offline) -> None:
    chains = ("binpack:memory", BY_ZONE, "default")
    arguments = ("--task-definition", "web", "--count", "6", "--compare", *chains)
    rows = {
        cells[0]: cells[1:]
        for line in offline.ok(*arguments).splitlines()[2:]
        if (cells := re.split(r" {2,}", line))
    }
    assert rows[""] == ["binpack:memory", BY_ZONE, "random"]
    assert rows["tasks placed"] == ["6", "6", "6"]
    assert rows["difference between zones"][1] == "0"
    assert rows["tasks in us-east-1a"][1] == "2"
    assert int(rows["hosts that get tasks"][0]) < int(rows["hosts that get tasks"][1])
    assert rows["worst loss of a zone"][1].startswith("2 of 6 tasks, 33 % (us-east-1")
    answers = offline.json(*arguments)["answers"]
    assert [each["question"]["placementStrategy"] for each in answers] == [
        ["binpack:memory"],
        BY_ZONE.split(","),
        [],
    ]
    assert [str(each["measures"]["zoneDifference"]) for each in answers] == rows["difference between zones"]


def test_capacity(offline: Offline) -> None:
    text = offline.ok("--task-definition", "web", "--count", "10", "--capacity", "--strategy", BY_ZONE)
    assert "An empty m5.large (2048 CPU units, 8192 MiB) takes 4 tasks.\n" in text
    assert re.search(r"^only m5.large hosts +3 +1 +1 +1$", text, re.MULTILINE)
    assert re.search(r"^… and still when any one zone is lost +5 +2 +2 +1$", text, re.MULTILINE)
    asked = ("--task-definition", "web", "--count", "10", "--capacity", "--type", "m5.24xlarge")
    document = offline.json(*asked)
    assert document["needed"] == {"hosts": 1, "byZone": {"us-east-1a": 1}}
    assert document["tasksPerHost"] == 192  # 384 GiB by 2, not the ten that were asked for
    none = offline.ok("--task-definition", "web", "--capacity", "--type", "t3.nano")
    assert "No number of t3.nano hosts (2048 CPU units, 512 MiB) is enough: 1536 MiB short" in none


def test_a_mistake_in_a_file_names_it(offline: Offline) -> None:
    offline.file.write_text("hosts: [{id: a, type: m5.large}, {id: a, type: m5.large}]")
    assert offline.refused("--task-definition", "web") == (
        f"{offline.file}, line 1: hosts[1]: two hosts have the id a"
    )


def test_pictures(offline: Offline, tmp_path: Path) -> None:
    arguments = ("--task-definition", "web", "--count", "3", "--compare", "random", "binpack:cpu")
    text = offline.ok(*arguments, "--plot", str(tmp_path / "out.svg"))
    assert text.endswith(f"Saved {tmp_path}/out.svg.\n")
    assert "binpack:cpu" in (tmp_path / "out.svg").read_text()
    assert offline.json("--plot", str(tmp_path / "now.png")) == {"plot": f"{tmp_path}/now.png", "notes": []}
    assert (tmp_path / "now.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name what to place: --task-definition, or --service for more tasks of one. --plot and "),
        (["--capacity"], "name what to place: --task-definition, or --service for more tasks of one."),
        (["--task-definition", "wbe"], "there is no task definition wbe; did you mean web?"),
        (["--service", "wbe"], "there is no service wbe; did you mean web?"),
        (["--task-definition", "web", "--count", "0"], "--count must be 1 to 100,000, not 0"),
        (["--task-definition", "web", "--count", "-3"], "--count must be 1 to 100,000, not -3"),
        (
            ["--task-definition", "web", "--strategy", "binpak:memory"],
            "--strategy: 'binpak:memory' is not a placement strategy; did you mean binpack:memory?",
        ),
        (["--task-definition", "web", "--strategy", ""], "--strategy: '' is not a placement strategy; there"),
        (["--task-definition", "web", "--compare", "random", "sprad"], "--compare: 'sprad' is not a plac"),
        (
            ["--task-definition", "web", "--constraint", "memberOf:attribute:a = 1"],
            "--constraint: '=' is not an operator at position 12: expected an operator\n"
            "  attribute:a = 1\n              ^",
        ),
        (
            ["--task-definition", "web", "--capacity", "--type", "m5.huge"],
            "--type: Did you mean m5.large? 'm5.huge' is not a known instance type. Known are: t2 (nano, ",
        ),
        (["--task-definition", "web", "--type", "m5.large"], "--type is the type of --capacity's hosts"),
        (["--task-definition", "web", "--cluster", "x"], "--file and --cluster: a cluster file is one"),
        (["--service", "web", "--group", "x"], "--service and --group: a service's tasks are its own group"),
        (["--task-definition", "web", "--zone", "us-east-9z"], "no host is in us-east-9z; there are hosts"),
        (["--export", "x.yaml"], "--export saves a running cluster; with --file there is none."),
    ],
)
def test_what_cannot_be_asked(offline: Offline, arguments: list[str], told: str) -> None:
    assert told in offline.refused(*arguments)


def test_pictures_that_cannot_be(offline: Offline, tmp_path: Path) -> None:
    asked = ("--task-definition", "web", "--plot")
    assert offline.refused(*asked, "x.gif").startswith("x.gif: pictures are .svg or .png files")
    assert "there is no folder" in offline.refused(*asked, f"{tmp_path}/nowhere/x.svg")
    (tmp_path / "x.svg").mkdir()
    assert "x.svg is a folder; name a file" in offline.refused(*asked, f"{tmp_path}/x.svg")


STRATEGY_OPTION = "--capacity-provider-strategy"
PROVIDERS = """
hosts: [{id: h, type: m5.large, capacityProvider: spot}, {id: own, count: 2, type: m5.large}]
capacityProviders: [{name: spot, type: m5.large}]
defaultCapacityProviderStrategy: spot
taskDefinitions: [{family: web, cpu: 1024, memory: 64}]
"""


def test_what_would_wait_for_a_capacity_provider(offline: Offline) -> None:
    offline.file.write_text(PROVIDERS)
    said = offline.ok("--task-definition", "web", "--count", "5").splitlines()
    assert said[0].endswith(" in group family:web, by random, on capacity provider spot (weight 0)")
    assert said[5].startswith("2 of 5 tasks on 1 of 3 hosts.")
    assert said[9:] == [
        "3 tasks would wait in PROVISIONING for capacity provider spot until its group adds 2 hosts. "
        "Why the next one finds none:",
        "  1 host: RESOURCE:CPU",
        "Closest is h: needs 1024 CPU units, 0 CPU units free of 2048.",
        "What would help: 1024 CPU units short on the best host, h.",
    ]
    anywhere = offline.ok("--task-definition", "web", "--count", "5", "--launch-type", "EC2")
    assert "5 of 5 tasks on 3 of 3 hosts." in anywhere
    compared = offline.ok("--task-definition", "web", "--count", "5", "--compare", "binpack:cpu", "random")
    assert re.search(r"^tasks that wait for capacity +3 +3$", compared, re.MULTILINE)
    assert compared.count("until its group adds 2 hosts.") == 2
    needed = offline.ok("--task-definition", "web", "--count", "5", "--capacity")
    assert re.search(r"to add to this cluster as it is +0", needed), "whoever starts them"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([STRATEGY_OPTION, "sopt"], "there is no capacity provider sopt; did you mean spot?"),
        ([STRATEGY_OPTION, "weight=1"], "--capacity-provider-strategy: capacityProvider must be"),
        ([STRATEGY_OPTION, "spot", "--launch-type", "EC2"], "exclude each other, as in RunTask"),
        ([STRATEGY_OPTION, "spot", "--capacity"], "--capacity counts hosts whoever starts them"),
    ],
)
def test_capacity_provider_strategies_that_cannot_be(
    offline: Offline, arguments: list[str], told: str
) -> None:
    offline.file.write_text(PROVIDERS)
    assert told in offline.refused("--task-definition", "web", *arguments)


def test_files_that_cannot_be_read(offline: Offline, tmp_path: Path) -> None:
    offline.file.write_text(FILE.replace("zones:", "zoens:"))
    assert offline.refused("--service", "web") == (
        f"{offline.file}, line 4: hosts[0].zoens: unknown; did you mean zones?"
    )
    offline.file.write_bytes(b"hosts: [\xff]")
    assert "is not a text in UTF-8: byte 8 is none of it." in offline.refused("--service", "web", code=1)
    offline.file.unlink()
    assert offline.refused("--service", "web", code=1).endswith("cannot be read: No such file or directory.")
    offline.file = tmp_path
    assert offline.refused("--service", "web", code=1).endswith("cannot be read: Is a directory.")


def test_a_strategy_that_stands_alone(offline: Offline) -> None:
    assert app.run(["place", "--file", str(offline.file), "--service", "web", "random"]) == 2
    assert "strategies are given as --strategy, or after --compare" in offline.capsys.readouterr().err


@pytest.fixture(scope="module")
def web(running: Cli) -> Cli:
    """A real server with simulated hosts and a service of four tasks."""
    running.make_service("web", 4)
    return running


@pytest.mark.slow
@pytest.mark.xdist_group("cli-place")
def test_it_says_what_run_task_then_does(web: Cli) -> None:
    """Where no two hosts tie, the seed does not matter."""
    for n, instance in enumerate(web.json("instance", "ls")["instances"]):
        for _ in range(3 * n):
            web.ecs("StartTask", taskDefinition="web", containerInstances=[instance["arn"]], group=f"g{n}")
    asked = ("--task-definition", "web", "--count", "10", "--strategy", "binpack:memory")
    expected = web.json("place", *asked, "--seed", "1")
    assert expected == {**web.json("place", *asked, "--seed", "2"), "question": expected["question"]}
    strategy = [{"type": "binpack", "field": "memory"}]
    done = web.ecs("RunTask", taskDefinition="web", count=10, placementStrategy=strategy)
    assert [each["host"] for each in expected["placements"]] == [
        task["containerInstanceArn"] for task in done["tasks"]
    ]


@pytest.mark.slow
@pytest.mark.xdist_group("cli-place")
def test_it_says_where_a_service_grows(web: Cli) -> None:
    before = {task["arn"] for task in web.tasks("web")}
    expected = web.json("place", "--service", "web", "--count", "2")
    assert expected["question"]["group"] == "service:web"
    web.ecs("UpdateService", service="web", desiredCount=len(before) + 2)
    until(lambda: len(web.tasks("web")) == len(before) + 2, "two more tasks are there")
    zones = sorted(task["zone"] for task in web.tasks("web") if task["arn"] not in before)
    assert zones == sorted(host["zone"] for host in expected["hosts"] for _ in range(host["tasks"]))


@pytest.mark.slow
@pytest.mark.xdist_group("cli-place")
def test_a_saved_cluster_gives_the_same_answers(web: Cli, tmp_path: Path) -> None:
    for name in ("now.yaml", "now.json"):
        saved = str(tmp_path / name)
        assert web.json("place", "--export", saved) == {"export": saved, "notes": []}
        asked = ("--task-definition", "web", "--count", "50", "--strategy", BY_ZONE)
        assert web.json("place", *asked) == web.json("place", *asked, "--file", saved)


@pytest.mark.slow
@pytest.mark.xdist_group("cli-place")
def test_what_is_not_there(web: Cli) -> None:
    code, message = web.refused("place", "--task-definition", "nonesuch:3")
    assert (code, message) == (2, "miniecs: there is no task definition nonesuch:3; there are web:1\n")
    code, message = web.refused("place", "--task-definition", "web", "--cluster", "nonesuch")
    assert (code, message.partition(".")[0]) == (1, "miniecs: There is no cluster 'nonesuch'")


def test_without_a_server_and_a_file_it_says_so(offline: Offline) -> None:
    with pytest.raises(Problem, match="miniecs is not running on the data folder"):
        app.run(["place", "--task-definition", "web"])
