"""Pictures of hosts: what is in them, that the same data gives the same bytes, and what is refused."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from miniecs.planning.cluster_file import load
from miniecs.planning.planned import Planned, plan
from miniecs.planning.question import Answer, ask, question
from miniecs.planning.rules import chain
from miniecs.plots import style
from miniecs.plots.contents import Part, groups, panels
from miniecs.plots.hosts import MOST_BARS, draw

SVG = "{http://www.w3.org/2000/svg}"
FILE = """
hosts:
  - {{count: {hosts}, type: m5.large, zones: [a, b, c]}}
  - {{id: old, type: m5.large, zone: a, status: DRAINING, tasks: [{{taskDefinition: web, count: 2}}]}}
taskDefinitions:
  - {{family: web, cpu: 256, memory: 512}}
  - {{family: api, cpu: 512, memory: 2 GB}}
services:
  - {{serviceName: {name}, taskDefinition: api, count: 4}}
"""


def planned(hosts: int, name: str = "api") -> Planned:
    return plan(load(FILE.format(hosts=hosts, name=name), "c.yaml"))


def answers(cluster: Planned, count: int, *strategies: str) -> list[Answer]:
    each = [question(cluster, task_definition="web", count=count, strategies=chain(s)) for s in strategies]
    return [ask(cluster, one) for one in each]


class Picture:
    """An SVG by its groups of rectangles and its texts."""

    def __init__(self, path: Path) -> None:
        self.root = ElementTree.parse(path).getroot()
        self.texts = ["".join(text.itertext()) for text in self.root.iter(f"{SVG}text")]
        self.groups = {
            group.get("id", ""): len(list(group.iter(f"{SVG}path"))) + len(list(group.iter(f"{SVG}use")))
            for group in self.root.iter(f"{SVG}g")
        }

    def top(self, kind: str) -> float:
        """The highest point of a kind's rectangles, in points from the upper edge."""
        mine = (g for g in self.root.iter(f"{SVG}g") if g.get("id", "").startswith(f"panel-1-{kind}-"))
        drawn = " ".join(path.get("d", "") for group in mine for path in group.iter(f"{SVG}path"))
        return min(float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", drawn))

    def rectangles(self, panel: int, kind: str) -> int:
        return sum(n for id, n in self.groups.items() if id.startswith(f"panel-{panel}-{kind}-"))


@pytest.mark.parametrize("hosts", [3, 30, 300])
def test_every_host_is_two_bars_in_every_panel(tmp_path: Path, hosts: int) -> None:
    cluster = planned(hosts)
    draw(cluster, answers(cluster, 6, "binpack:memory", "spread:instanceId"), tmp_path / "out.svg")
    picture = Picture(tmp_path / "out.svg")
    for panel in (1, 2):
        assert picture.rectangles(panel, "free") == 2 * hosts
        assert picture.rectangles(panel, "closed") == 2
        assert picture.rectangles(panel, "frame") == picture.rectangles(panel, "new")
    if hosts < MOST_BARS:  # each task is a rectangle of each bar
        assert picture.rectangles(1, "new") == 2 * 6
        assert picture.rectangles(1, "tasks") == 2 * (2 + 4)
        assert "m5.large-3" in picture.texts
    else:  # all tasks of a host that are alike are one
        assert picture.rectangles(1, "new") == 2 * 1
        assert picture.rectangles(2, "new") == 2 * 6
    assert {"binpack:memory", "spread:instanceId"} <= set(picture.texts)
    assert {"us-east-1a", "us-east-1b", "us-east-1c"} <= set(picture.texts)
    assert {"family:web", "api", "new tasks", "free", "free, but takes no tasks"} <= set(picture.texts)
    assert "each host: CPU left, memory right" in picture.texts


def test_texts_lie_within_the_picture_and_panels_do_not_cover_each_other(tmp_path: Path) -> None:
    cluster = planned(3)
    long = "spread:attribute:ecs.availability-zone,spread:attribute:a-long-name-of-one,binpack:memory"
    draw(cluster, answers(cluster, 2, "binpack:memory", long), tmp_path / "out.svg")
    root = ElementTree.parse(tmp_path / "out.svg").getroot()
    width = float(root.get("viewBox", "").split()[2])
    spans = {}
    for text in root.iter(f"{SVG}text"):
        size = re.search(r"([\d.]+)px", text.get("style", ""))
        if size and text.text and text.text.startswith(("binpack", "spread", "2 of 2")):
            start = float(text.get("x", ""))
            spans[text.text] = (start, start + 0.55 * float(size[1]) * len(text.text))
    assert len(spans) >= 3
    assert max(end for _, end in spans.values()) <= width + 5
    assert spans["binpack:memory"][1] < spans[long.replace(",", ", ")][0]


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg", "one.png", "two.png"):
        cluster = planned(12)
        draw(cluster, answers(cluster, 5, "random"), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert b"<dc:date>" not in (tmp_path / "one.svg").read_bytes()


def test_the_users_own_settings_of_matplotlib_stay_out(tmp_path: Path) -> None:
    import matplotlib

    cluster = planned(3)
    draw(cluster, answers(cluster, 5, "random"), tmp_path / "plain.svg")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        draw(cluster, answers(cluster, 5, "random"), tmp_path / "own.svg")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "plain.svg").read_bytes() == (tmp_path / "own.svg").read_bytes()
    assert "matplotlib.pyplot" not in sys.modules


def test_a_cluster_as_it_is(tmp_path: Path) -> None:
    draw(planned(3), [], tmp_path / "out.svg")
    picture = Picture(tmp_path / "out.svg")
    assert picture.rectangles(1, "new") == 0
    assert {"cluster default", "6 tasks on 4 hosts"} <= set(picture.texts)
    assert "new tasks" not in picture.texts


@pytest.mark.parametrize("hosts", [1, 60])
def test_what_takes_nothing_or_more_than_there_is(tmp_path: Path, hosts: int) -> None:
    """A task without CPU is in the memory bar alone, and nothing sticks out of a host that is overfull."""
    text = f"""
hosts:
  - {{count: {hosts}, type: t3.medium, zone: a, tasks: [{{cpu: 0, memory: 1024, count: 6, group: big}}]}}
"""
    draw(plan(load(text, "c.yaml")), [], tmp_path / "out.svg")
    picture = Picture(tmp_path / "out.svg")
    assert picture.rectangles(1, "free") == 2 * hosts
    assert picture.rectangles(1, "tasks") == hosts * (4 if hosts == 1 else 1)  # six would need six quarters
    assert picture.top("tasks") >= picture.top("free")


def test_more_hosts_than_cells_share_them(tmp_path: Path) -> None:
    cluster = planned(3000)
    draw(cluster, answers(cluster, 30, "spread:instanceId"), tmp_path / "out.svg")
    picture = Picture(tmp_path / "out.svg")
    assert "each cell: 3 hosts, CPU left, memory right" in picture.texts
    assert picture.rectangles(1, "free") == 2 * 3 * 334


def test_long_names_are_shortened_and_colours_run_out_into_grey(tmp_path: Path) -> None:
    name = "a-service-with-a-name-" + "x" * 80 + "-that-goes-on"
    draw(planned(3, name), [], tmp_path / "out.svg")
    (shown,) = (text for text in Picture(tmp_path / "out.svg").texts if text.startswith("a-service"))
    assert len(shown) <= 32
    assert shown.endswith("goes-on")
    colours = style.colours(f"s{n}" for n in range(12))
    assert len(set(colours.values())) == len(style.COLOURS) + 1
    assert {colours[f"s{n}"] for n in range(8, 12)} == {style.OTHERS}


def test_what_is_shown_of_a_host() -> None:
    cluster = planned(3)
    (panel,) = panels(cluster, answers(cluster, 3, "binpack:memory"))
    assert [host.zone for host in panel.hosts] == ["us-east-1a", "us-east-1a", "us-east-1b", "us-east-1c"]
    old = next(host for host in panel.hosts if host.name == "old")
    assert (old.usable, old.parts) == (False, (Part("family:web", False, 2, 256, 512),))
    assert sum(part.tasks for host in panel.hosts for part in host.parts if part.new) == 3
    assert groups([panel]) == ["family:web", "service:api"]
    assert panel.subtitle.startswith("3 of 3 tasks of web:1 on 1 of 4 hosts, ")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("out.gif", "pictures are .svg or .png files; give the name such an end."),
        ("nowhere/out.svg", "there is no folder "),
    ],
)
def test_where_no_picture_can_be(tmp_path: Path, path: str, told: str) -> None:
    with pytest.raises(style.PathProblem) as refused:
        draw(planned(3), [], tmp_path / path)
    assert told in str(refused.value)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out.svg").symlink_to("/dev/full")
    with pytest.raises(style.PlotProblem, match="out.svg cannot be written: No space left on device"):
        draw(planned(3), [], tmp_path / "out.svg")


def test_without_hosts_there_is_nothing_to_draw(tmp_path: Path) -> None:
    from miniecs.planning.cluster_file import observed

    with pytest.raises(style.PlotProblem, match="Cluster default has no hosts to draw"):
        draw(plan(observed({"hosts": []})), [], tmp_path / "out.svg")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(style.PlotProblem, match=r"Install it with: pip install 'miniecs\[plot\]'"):
        style.check_path(tmp_path / "out.svg")
