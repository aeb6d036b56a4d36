"""The same file with the same seed is the same story; variants differ in what they name and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from miniecs.cli.app import run
from miniecs.scenarios.player import Player
from miniecs.scenarios.recording import Recording
from miniecs.scenarios.scenario_file import load
from miniecs.scenarios.story import story
from miniecs.scenarios.summary import summary

from .playing import BASE, play, stories, summed, texts

LOAD = """
events:
  - at: 10s
    arrivals: {poisson: 5s, runTask: {taskDefinition: batch, lifetime: {exponential: 1m}}, retryEvery: 5s}
  - {at: 1m, loseZone: b}
  - {at: 3m, deploy: {service: web}}
"""


def history(seed: int, folder: Path) -> Recording:
    (folder / "load.yaml").write_text(BASE + LOAD)
    [variant] = load(folder / "load.yaml")
    return Player(story(variant, seed)).play()


def test_a_seed_is_a_story(tmp_path: Path) -> None:
    once = history(3, tmp_path)
    assert once == history(3, tmp_path)
    assert once.tasks != history(4, tmp_path).tasks


def test_variants_meet_the_same_load(tmp_path: Path) -> None:
    packing = "{services.web.placementStrategy: binpack:cpu}"
    variants = f"variants: {{packed: {packing}, wide: {{hosts.host.count: 9}}}}"
    packed, wide = stories(tmp_path, BASE + LOAD + variants)
    assert [each.variant for each in (packed, wide)] == ["packed", "wide"]
    arrivals = [[step for step in each.steps if step.kind == "arrival"] for each in (packed, wide)]
    assert len(arrivals[0]) > 50
    assert arrivals[0] == arrivals[1]


def test_variants_change_what_they_name(tmp_path: Path) -> None:
    text = BASE + "variants: {two: {services.web.desiredCount: 2}, five: {services.web.desiredCount: 5}}"
    counts = [Player(each).play().samples[-1].services["web"].running for each in stories(tmp_path, text)]
    assert counts == [2, 5]


def test_a_setting_stands_over_every_variant(tmp_path: Path) -> None:
    text = BASE + "variants: {two: {services.web.desiredCount: 2}, five: {services.web.desiredCount: 5}}"
    told = stories(tmp_path, text, **{"services.web.desiredCount": 4})
    assert [each.services[0][1]["desiredCount"] for each in told] == [4, 4]


def test_until_steady_ends_when_all_has_happened_and_is_as_wanted(tmp_path: Path) -> None:
    base = BASE.replace("duration: 6m", "duration: 1h\nuntil: steady")
    recording = play(tmp_path, "{at: 5m, scale: {service: web, desiredCount: 6}}", base)
    assert 340 < recording.duration < 350
    assert recording.stuck == {}


def test_until_steady_waits_no_longer_than_the_duration(tmp_path: Path) -> None:
    base = BASE.replace("duration: 6m", "duration: 10m\nuntil: steady")
    base = base.replace("desiredCount: 3", "desiredCount: 99")
    recording = play(tmp_path, "", base)
    assert recording.duration == 600
    assert any("MiB short" in line or "CPU units short" in line for line in recording.stuck["web"])


@pytest.mark.parametrize("name", ["host", "host-of-a-long-name"])
def test_hosts_names_stand_in_the_columns_of_the_table(name: str, tmp_path: Path) -> None:
    base = BASE.replace("id: host", f"id: {name}").replace("desiredCount: 3", "desiredCount: 5")
    base = base.replace("placementStrategy: spread:instanceId", "placementConstraints: distinctInstance")
    recording = play(tmp_path, base=base)
    lines = recording.stuck["web"]
    (head,) = [line for line in lines if "HOST" in line]
    rows = [line for line in lines if line.startswith(f"  {name}-")]
    assert len(rows) == 2
    assert {row.index("us-east-1") for row in rows} == {head.index("ZONE")} == {len(f"  {name}-1  ")}


def test_hosts_have_their_names_in_what_is_said(tmp_path: Path) -> None:
    base = BASE.replace("desiredCount: 3", "desiredCount: 99")
    said = " ".join(texts(play(tmp_path, "", base), "service"))
    assert "The closest matching (container-instance host-" in said


def test_a_deployment_counts_from_its_beginning(tmp_path: Path) -> None:
    found = summed(tmp_path, "{at: 1m, deploy: {service: web}}\n{at: 70s, deploy: {service: web}}")
    states = [(each.definition, each.state, round(each.seconds, -1)) for each in found.rollouts]
    assert states == [("web:1", "COMPLETED", 40), ("web:2", "REPLACED", 10), ("web:3", "COMPLETED", 40)]


def test_the_short_form_of_task_definitions_is_one_container(tmp_path: Path) -> None:
    text = BASE.replace("cpu: 256, memory: 512", "cpu: 256, memory: 512, hostPorts: [80, 53/udp]")
    [told] = stories(tmp_path, text)
    [container] = told.definitions["web"]["containerDefinitions"]
    assert container["portMappings"] == [
        {"containerPort": 80, "hostPort": 80},
        {"containerPort": 53, "hostPort": 53, "protocol": "udp"},
    ]


def test_hosts_are_named_and_dealt_as_in_cluster_files(tmp_path: Path) -> None:
    from miniecs.model.scope import Scope
    from miniecs.planning.cluster_file import HostSpec
    from miniecs.planning.hosts import instances_of

    groups = [
        {"count": 3, "type": "m5.large"},
        {"count": 2, "type": "m5.large", "zones": ["b", "c"]},
        {"id": "big", "type": "m5.xlarge", "zone": "a"},
        {"id": "other", "count": 2, "type": "t3.small", "attributes": {"disk": "ssd"}},
    ]
    [told] = stories(tmp_path, json.dumps({"duration": 60, "hosts": groups}))
    specs = [HostSpec.model_validate(group) for group in groups]
    planned = instances_of(specs, Scope("000000000000", "us-east-1"), "default")
    assert [(h.name, h.zone) for h in told.hosts] == [(i.arn, i.availability_zone) for i, _ in planned]
    assert [host.attributes for host in told.hosts][-1] == (("disk", "ssd"),)


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["sim", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command_prints_a_summary_and_with_events_the_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(BASE + "title: One\nevents:\n  - {at: 1m, loseHost: host-1}\n")
    plain = command(capsys, str(path))
    assert plain.startswith("One: 6m, seed 1\n")
    assert "What happened:" not in plain
    assert command(capsys, str(path), "--seed", "5").startswith("One: 6m, seed 5\n")
    assert "       1m * host host-1 lost\n" in command(capsys, str(path), "--events")


def test_the_command_as_json_has_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(BASE + LOAD + "variants: {a: {}, b: {services.web.desiredCount: 1}}")
    document: dict[str, Any] = json.loads(command(capsys, str(path), "--output", "json", "--events"))
    assert [each["variant"] for each in document["runs"]] == ["a", "b"]
    first = document["runs"][0]
    assert first["summary"]["disruption"]["web"]["lost"] == 1
    assert set(first["summary"]["use"][""]["cpu"]) == {"mean", "peak"}
    assert first["samples"][-1]["services"]["web"]["desired"] == 3
    assert {each["kind"] for each in first["events"]} >= {"scenario", "service"}
    waits = first["summary"]["waits"][""]
    assert len(first["tasks"]) == waits["tasks"] + waits["never"]
    only = json.loads(command(capsys, str(path), "--output", "json", "--variant", "b"))
    assert [each["variant"] for each in only["runs"]] == ["b"]
    assert "events" not in only["runs"][0]


def test_the_command_draws_over_time_and_at_moments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(BASE + LOAD)
    time, hosts = tmp_path / "time.svg", tmp_path / "hosts.svg"
    command(capsys, str(path), "--plot", str(time), "--plot-hosts", str(hosts), "--at", "30s", "--at", "150s")
    assert "zone us-east-1b lost: 1 host" in time.read_text()
    drawn = hosts.read_text()
    assert "one at 30s" in drawn and "one at 2m30s" in drawn
    # The lost host is in the first picture and not in the second.
    assert [drawn.count(f">host-{n}<") for n in (1, 2, 3)] == [2, 1, 2]


def test_a_moment_after_the_end_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from miniecs.cli.problem import Problem

    path = tmp_path / "one.yaml"
    path.write_text(BASE)
    with pytest.raises(Problem, match="--at 7m is after the end: the duration is 6m"):
        run(["sim", str(path), "--plot-hosts", str(tmp_path / "x.svg"), "--at", "7m"])
    assert run(["sim", str(path), "--at", "1m"]) == 2
    assert "--plot-hosts" in capsys.readouterr().err


@pytest.mark.slow
def test_an_hour_on_fifty_hosts_is_played_in_seconds(tmp_path: Path) -> None:
    """Not a benchmark: that it is no matter of minutes."""
    import time

    base = BASE.replace("6m", "1h").replace("count: 3", "count: 50")
    base = base.replace("desiredCount: 3", "desiredCount: 150")
    begun = time.process_time()
    [told] = stories(tmp_path, base + LOAD)
    found = summary(Player(told).play())
    assert found.waits["batch"].tasks > 600
    assert time.process_time() - begun < 60
