"""What is wrong in a scenario is told with its place, before anything is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from miniecs.cli.app import run
from miniecs.cli.problem import ASKED_WRONGLY, Problem
from miniecs.planning.text import Mistake
from miniecs.scenarios.durations import seconds, told

from .playing import BASE, stories

EVENTS = [  # an event, and what is said of it; {line} is its line
    ("{at: 1m, deply: {service: web}}", "events[0].deply: unknown; did you mean deploy?"),
    ("{at: 1m, loseZone: b, drain: host-1}", "must say one thing that happens, not 2 (loseZone, drain)"),
    ("{at: 1m}", "must say one thing that happens"),
    ("{loseZone: b}", "events[0].at: is missing"),
    ("{at: -1m, loseZone: b}", "events[0].at: a length of time cannot be negative: '-1m'"),
    ("{at: -3, loseZone: b}", "events[0].at: a length of time cannot be negative: -3"),
    ("{at: soon, loseZone: b}", "events[0].at: 'soon' is no length of time: write it like 90s, 5m or 1h30m"),
    ("{at: .nan, loseZone: b}", "events[0].at: nan is more than 30 days"),
    ("{at: true, loseZone: b}", "events[0].at: True is no length of time"),
    ("{at: 7m, loseZone: b}", "events[0].at: is after the end: the duration is 360 s"),
    ("{at: 1m, loseHost: host-7}", "events[0].loseHost.host: there is no host host-7 then; did you mean"),
    ("{at: 1m, loseZone: q}", "there is no host in us-east-1q then; hosts are in us-east-1a, us-east-1b"),
    ("{at: 1m, restore: host-1}", "events[0].restore: host host-1 is not lost then"),
    ("{at: 1m, loseZone: {zone: b, noticedAfte: 3}}", "noticedAfte: unknown; did you mean noticedAfter?"),
    ("{at: 1m, drain: [host-1]}", "events[0].drain: must be a valid string"),
    ("{at: 1m, drain: {host: host-1, zone: a}}", "events[0].drain: give one of host, hosts and zone"),
    ("{at: 1m, scale: {service: wbe, desiredCount: 1}}", "there is no service wbe then; did you mean web?"),
    ("{at: 1m, scale: {service: web}}", "events[0].scale: give one of desiredCount and steps"),
    ("{at: 1m, scale: {service: web, steps: [1, 2]}}", "steps and every belong together"),
    ("{at: 1m, scale: {service: web, steps: [1, 2], every: 9m}}", "the last one is after the end"),
    ("{at: 1m, scale: {service: web, desiredCount: -1}}", "must be greater than or equal to 0, not -1"),
    ("{at: 1m, scale: {service: web, desiredCount: many}}", 'must be a valid integer, not "many"'),
    ("{at: 1m, updateService: {service: web, desierdCount: 2}}", "desierdCount: unknown; did you mean"),
    ("{at: 1m, updateService: {service: web, desiredCount: two}}", "cannot be converted to Integer"),
    (
        "{at: 1m, updateService: {service: web, deploymentConfiguration: {maximumPercnt: 3}}}",
        "updateService.deploymentConfiguration.maximumPercnt: unknown; did you mean maximumPercent?",
    ),
    ("{at: 1m, updateService: {service: web, placementStrategy: binpak:memory}}", "mean binpack:memory?"),
    ("{at: 1m, updateService: {service: web, placementConstraints: 'memberOf:a =='}}", "Constraints[0]"),
    ("{at: 1m, createService: {serviceName: web, taskDefinition: web}}", "there is a service web already"),
    ("{at: 1m, createService: {taskDefinition: web}}", "serviceName"),
    ("{at: 1m, createService: {serviceName: x, taskDefinition: wbe}}", "no task definition wbe; did you"),
    ("{at: 1m, deleteService: {service: nope}}", "there is no service nope then"),
    ("{at: 1m, deploy: {service: web, revision: unhealthy}}", "no container of web has a healthCheck"),
    ("{at: 1m, deploy: {service: web, revision: bad}}", "must be 'healthy', 'crashing', 'failing' or"),
    ("{at: 1m, deploy: {service: web, simulate: explodes}}", "'explodes' is not something that a simulated"),
    ("{at: 1m, runTask: {taskDefinition: batch, lifetime: 0s}}", "runTask.lifetime: must be longer than"),
    ("{at: 1m, runTask: {taskDefinition: batch, lifetime: {}}}", "give one of fixed and exponential"),
    ("{at: 1m, runTask: {taskDefinition: batch, cuont: 2}}", "runTask.cuont: unknown; did you mean count?"),
    ("{at: 1m, runTask: {count: 2}}", "events[0].runTask.taskDefinition: is missing"),
    ("{at: 1m, arrivals: {runTask: {taskDefinition: batch}}}", "give one of every, poisson and trace"),
    ("{at: 1m, arrivals: {every: 1ms, runTask: {taskDefinition: batch}}}", "more than 100000 tasks would"),
    ("{at: 1m, arrivals: {trace: none.csv}}", "none.csv cannot be read: No such file"),
    ("{at: 1m, stopTask: {count: 2}}", "events[0].stopTask: give one of service and family"),
    ("{at: 1m, stopTask: {family: wbe}}", "there is no task definition wbe; did you mean web?"),
    ("{at: 1m, stopTask: {service: web, count: 0}}", "must be greater than or equal to 1, not 0"),
    ("{at: 1m, addHosts: {type: m5.lagre}}", "did you mean m5.large?"),
    ("{at: 1m, addHosts: {id: host-1, type: m5.large}}", "two hosts have the id host-1"),
    ("{at: 1m, addHosts: {type: m5.large, count: 0}}", "must be greater than or equal to 1, not 0"),
    ("{at: 1m, cutLink: {host: host-1}}", "events[0].cutLink.for: is missing"),
    ("{at: 1m, updateCapacityProvider: {name: x, autoScalingGroupProvider: {}}}", "there is no capacity"),
    ("{at: 1m, createService: {serviceName: x, taskDefinition: web, targetGroup: y}}", "no target group y"),
    (
        "{at: 1m, runTask: {taskDefinition: web, capacityProviderStrategy: [{capacityProvider: x}]}}",
        "runTask.capacityProviderStrategy[0].capacityProvider: there is no capacity provider x; there",
    ),
    (
        "{at: 1m, updateService: {service: web, capacityProviderStrategy: [{capacityProvider: x}]}}",
        "updateService.capacityProviderStrategy[0].capacityProvider: there is no capacity provider x",
    ),
    ("{at: 1m, killControlPlane: forever}", "'forever' is no length of time"),
]


@pytest.mark.parametrize(("event", "said"), EVENTS)
def test_a_wrong_event_is_told_with_its_line(event: str, said: str, tmp_path: Path) -> None:
    text = BASE + f"events:\n  - {event}\n"
    with pytest.raises(Mistake) as wrong:
        stories(tmp_path, text)
    assert said in str(wrong.value)
    assert f"scenario.yaml, line {text.count(chr(10))}: events[0]" in str(wrong.value)


FILES = [
    ("", "this is empty"),
    ("- 1", "this is not a mapping"),
    ("duration: 5m\nhosts: [", "this is neither YAML nor JSON"),
    ("duration: 5m\nduration: 6m", "line 2: 'duration' is given twice"),
    (BASE.replace("duration: 6m", ""), "duration: is missing"),
    (BASE.replace("duration: 6m", "duration: 0"), "line 2: duration: must be longer than nothing"),
    (BASE.replace("duration: 6m", "duration: 31h24h99h99h999h"), "is more than 30 days"),
    (BASE + "evnts: []", "evnts: unknown; did you mean events?"),
    (BASE + "seed: -1", "seed: must be greater than or equal to 0, not -1"),
    (BASE + "until: stedy", "until: must be 'steady', not \"stedy\""),
    ("duration: 5m\nhosts: []", "there are no hosts: give some, or capacityProviders that start them"),
    (BASE + "capacityProviders: [{name: f, type: m5.lagre}]", "capacityProviders[0]: did you mean m5.large?"),
    (BASE + "capacityProviders: [{name: f, type: m5.large, minSize: 3, maxSize: 2}]", "minSize 3 is more"),
    (BASE + "capacityProviders: [{name: f, type: m5.large, zone: a}]", "zone: unknown; did you mean zones?"),
    (
        BASE + "capacityProviders: [{name: f, type: m5.large}, {name: f, type: m5.large}]",
        "capacityProviders[1].name: f is described twice",
    ),
    (
        BASE + "capacityProviders: [{name: f, type: m5.large, managedScaling: {targetCapcity: 5}}]",
        "capacityProviders[0].autoScalingGroupProvider.managedScaling.targetCapcity: unknown; did",
    ),
    (BASE + "defaultCapacityProviderStrategy: [f]", "defaultCapacityProviderStrategy: there is no"),
    (BASE + "targetGroups: [{name: f, interval: 5s}]", "interval: unknown; did you mean healthCheckI"),
    (BASE + "targetGroups: [{name: f, healthCheckInterval: 2s}]", "healthCheckInterval must be 5 to 300 w"),
    (BASE + "targetGroups: [{name: f, healthCheckInterval: 5s}]", "healthCheckTimeout must be shorter than"),
    (BASE + "targetGroups: [{name: f}, {name: f}]", "targetGroups[1].name: f is described twice"),
    (
        BASE.replace("desiredCount: 3,", "desiredCount: 3, targetGroup: f,") + "targetGroups: [{name: f}]",
        "services[0].targetGroup: no container of web has a port: give web a containerPort, or portMappings",
    ),
    (BASE.replace("m5.large", "m5.huge"), "line 4: hosts[0]: did you mean m5.large?"),
    (BASE.replace("zones: [a, b, c]", "zone: a, zones: [b]"), "give zone or zones, not both"),
    (BASE.replace("count: 3, type", "cuont: 3, type"), "line 4: hosts[0].cuont: unknown; did you mean"),
    (BASE.replace("family: batch", "family: web"), "line 7: taskDefinitions[1].family: web is described"),
    (BASE.replace("image: checked", "imgae: checked"), "containerDefinitions[0].imgae: unknown; d"),
    (BASE.replace("desiredCount: 3", "desiredCount: 3.5"), "services[0]: at desiredCount: DECIMAL_VALUE"),
    (BASE.replace("taskDefinition: web, d", "taskDefinition: wbe, d"), "services[0].taskDefinition: there"),
    (BASE + "variants: {x: {services.wbe.desiredCount: 3}}", "variants.x.services.wbe.desiredCount: serv"),
    (BASE + "variants: {x: {services.web.desierdCount: 3}}", "services[0].desierdCount: unknown"),
    (BASE + "variants: {x: {'': 3}}", "'' is not the path of a value"),
    (BASE + "variants: {x: {variants.x: 3}}", "'variants.x' is not the path of a value"),
    (BASE + "variants: {x: {duration.y: 3}}", "duration holds no fields"),
]


@pytest.mark.parametrize(("text", "said"), FILES)
def test_a_wrong_file_is_told_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Mistake) as wrong:
        stories(tmp_path, text)
    assert said in str(wrong.value)


TRACES = [
    ("", "line 1: the first line names the columns: at, and any of taskDefinition, count, lifetime"),
    ("at,tsakDefinition\n", "line 1: 'tsakDefinition': unknown column; did you mean taskDefinition?"),
    ("taskDefinition\nbatch\n", "line 1: the first line names the columns"),
    ("at,at\n1,2\n", "line 1: the first line names the columns"),
    ("at\n1m\n-5s\n", "line 3: at: a length of time cannot be negative: '-5s'"),
    ("at\n1m\nsoon\n", "line 3: at: 'soon' is no length of time"),
    ("at,count\n1m,1\n2m,1,1\n", "line 3: 3 values, but the first line names 2 columns"),
    ("at,count\n1m,none\n", "line 2: count: must be a whole number of 1 to 10, as RunTask has it"),
    ("at,count\n1m," + "9" * 5000, "line 2: count: must be a whole number of 1 to 10"),
    ("at,count\n1m,11\n", "line 2: count: must be a whole number of 1 to 10"),
    ("at,lifetime\n1m,0\n", "line 2: lifetime: must be longer than nothing"),
    ("at,taskDefinition\n1m,btach\n", "there is no task definition btach; did you mean batch?"),
]


@pytest.mark.parametrize(("trace", "said"), TRACES)
def test_a_wrong_line_of_a_trace_is_told(trace: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "load.csv").write_text(trace)
    event = "{at: 1m, arrivals: {trace: load.csv, runTask: {taskDefinition: batch}}}"
    with pytest.raises(Mistake) as wrong:
        stories(tmp_path, BASE + f"events:\n  - {event}\n")
    assert said in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", 90.0), ("5m", 300.0), ("1h30m", 5400.0), ("1.5m", 90.0), ("250ms", 0.25), (7, 7.0), (0.5, 0.5)],
)
def test_lengths_of_time(text: Any, length: float) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "m", "5 m", "1m1", "5x", None, [], True, "1e3s", "٥m"])
def test_what_is_no_length_of_time(text: Any) -> None:
    with pytest.raises(ValueError, match="no length of time"):
        seconds(text)


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "0s"), (0.44, "0.4s"), (9.96, "10.0s"), (45, "45s"), (59.7, "1m"), (245, "4m05s"), (3600, "1h00m"),
     (3725, "1h02m05s")],
)  # fmt: skip
def test_lengths_of_time_as_told(length: float, text: str) -> None:
    assert told(length) == text


def test_the_command_says_it_and_plays_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text(BASE + "events:\n  - {at: 1m, loseHost: host-9}\n")
    picture = tmp_path / "out.svg"
    with pytest.raises(Problem) as told:
        run(["sim", str(tmp_path / "bad.yaml"), "--plot", str(picture)])
    assert told.value.exit_code == ASKED_WRONGLY
    assert "events[0].loseHost.host: there is no host host-9 then" in str(told.value)
    assert capsys.readouterr().out == ""
    assert not picture.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "services.web.desiredCount"], "must be PATH=VALUE"),
        (["--set", f"services.{'9' * 5000}.desiredCount=3"], "services has no 999"),
        (["--set", "services.wbe.desiredCount=3"], "services has no wbe; did you mean web?"),
        (["--set", "services.web.desiredCount=[3"], "--set services.web.desiredCount, line"),
        (["--set", "services.web.desiredCount=three"], "services[0]"),
        (["--variant", "x"], "there is no variant x; the file has none"),
        (["--plot", "out.pdf"], "out.pdf: pictures are .svg or .png files"),
        (["--plot", "/no/such/out.svg"], "there is no folder"),
    ],
)
def test_wrong_options_are_told(options: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(BASE)
    with pytest.raises(Problem) as told:
        run(["sim", str(tmp_path / "good.yaml"), *options])
    assert told.value.exit_code == ASKED_WRONGLY
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            BASE + "events:\n  - {at: 1m, runTask: {taskDefinition: batch, count: 11}}\n",
            "events[0].runTask: ECS refuses it: InvalidParameterException: Count must be between",
        ),
        (BASE.replace("desiredCount: 3", "desiredCount: -3"), "services[0]: ECS refuses it: Invalid"),
        (BASE.replace("cpu: 256", "cpu: 1"), "taskDefinitions[0]: ECS refuses it: ClientException:"),
        (
            BASE + "variants: {one: {services.web.desiredCount: 1}, many: {services.web.desiredCount: 9999}}",
            "bad.yaml (variant many), line 16: services[0]: ECS refuses it: Invalid",
        ),
        (
            BASE + "variants: {one: {services.web.desiredCount: 1}, x: {services.web.desiredCount: x}}",
            "bad.yaml (variant x), line 16: services[0]: at desiredCount: STRING_VALUE cannot be",
        ),
    ],
)
def test_what_only_ecs_refuses_is_told_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(Problem) as told:
        run(["sim", str(tmp_path / "bad.yaml"), "--plot", str(tmp_path / "out.svg")])
    assert said in str(told.value)
    assert not (tmp_path / "out.svg").exists()
