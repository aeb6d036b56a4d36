"""Timelines: what is drawn is what was measured, and the picture stays small and readable."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from miniecs.plots import style
from miniecs.plots.series import LOSS, Column, Moment, Panel, Series
from miniecs.plots.timeline import clock, timeline


def column(title: str = "one", times: Any = (0, 60, 120), **more: Any) -> Column:
    running, wanted = Series("running", [1, 3, 2], "#000000", "area"), Series("wanted", [3, 3, 3], "#ff0000")
    panels = more.pop("panels", None) or [Panel("tasks", [running, wanted])]
    return Column(title, list(times), panels, **more)


def drawn(*columns: Column) -> Any:
    with style.drawing():
        return timeline("A title", columns)


def saved(folder: Path, *columns: Column) -> str:
    path = folder / "out.svg"
    with style.drawing():
        style.save(timeline("A title", columns), path)
    return path.read_text()


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_panels_of_one_title_share_a_row_and_its_scale() -> None:
    low, high = [Series("running", [1, 1, 1], "#000000")], [Series("running", [9, 9, 9], "#000000")]
    figure = drawn(
        column("a", panels=[Panel("tasks", low)]),
        column("b", panels=[Panel("tasks", high), Panel("hosts", low)]),
    )
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert sorted(titles) == ["hosts", "hosts", "tasks", "tasks"]
    rows = [axes for axes in figure.axes if axes.get_title(loc="left") == "tasks"]
    assert rows[0].get_ylim() == rows[1].get_ylim()
    assert rows[0].get_ylim()[1] > 9
    absent = next(a for a in figure.axes if a.get_title(loc="left") == "hosts" and a.texts)
    assert [text.get_text() for text in absent.texts] == ["none"]
    assert {"a", "b", "A title"} <= set(texts(figure))


def test_areas_are_stacked_and_lines_are_not() -> None:
    series = [
        Series("low", [1, 2, 1], "#000000", "area"),
        Series("high", [4, 4, 1], "#ff0000", "hatched"),
        Series("line", [2, 2, 2], "#00ff00"),
    ]
    [axes] = drawn(column(panels=[Panel("tasks", series)])).axes
    tops = [round(part.get_paths()[0].get_extents().ymax, 3) for part in axes.collections]
    assert tops == [2, 6]
    assert list(axes.lines[0].get_ydata()) == [2, 2]  # only turns are drawn, and the end


def test_where_a_value_is_not_a_number_nothing_is_drawn_and_the_scale_holds() -> None:
    gap = Series("gap", [math.nan, 5.0, math.nan], "#000000")
    [axes] = drawn(column(panels=[Panel("tasks", [gap])])).axes
    assert axes.get_ylim() == (0, pytest.approx(5.6))


def test_shares_are_drawn_of_the_whole() -> None:
    [axes] = drawn(column(panels=[Panel("use", [Series("cpu", [0, 0.5, 1], "#000000")], percent=True)])).axes
    assert axes.get_ylim()[1] == pytest.approx(1.02)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0 %", "50 %", "100 %"]


def test_moments_are_numbered_and_explained_under_their_column() -> None:
    moments = [Moment(10, "host lost", LOSS), Moment(70, "deploy")]
    figure = drawn(column(moments=moments))
    assert {"1  0:10  host lost", "2  1:10  deploy"} <= set(texts(figure))
    assert [note.get_text() for note in figure.axes[0].texts] == ["1", "2"]


def test_of_too_many_moments_losses_are_kept() -> None:
    moments = [Moment(n, f"change {n}") for n in range(40)] + [Moment(50, "host lost", LOSS)]
    found = [text for text in texts(drawn(column(moments=moments))) if "  0:" in text]
    assert len(found) == 14
    assert found[-1].endswith("host lost")


def test_long_noisy_series_are_thinned_together() -> None:
    times = list(range(5000))
    noisy = [n % 2 for n in times]
    stacked = [Series(name, noisy, "#000000", "area") for name in ("a", "b")]
    [axes] = drawn(column(times=times, panels=[Panel("tasks", stacked)])).axes
    sizes = [len(part.get_paths()[0].vertices) for part in axes.collections]
    assert sizes[0] == sizes[1]
    assert max(sizes) < 1200


def test_the_same_data_is_the_same_picture(tmp_path: Path) -> None:
    one = column(moments=[Moment(10, "host lost", LOSS)])
    assert saved(tmp_path, one, one) == saved(tmp_path, one, one)


def test_every_row_has_a_legend_of_what_it_shows(tmp_path: Path) -> None:
    first = column("a", panels=[Panel("tasks", [Series("running", [1, 1, 1], "#000000", "area")])])
    other = column("b", panels=[Panel("tasks", [Series("refused", [1, 1, 1], "#ff0000", "hatched")])])
    picture = saved(tmp_path, first, other)
    assert picture.count(">running<") == picture.count(">refused<") == 1


@pytest.mark.parametrize("length", [0.5, 5, 61, 600, 3600, 86_400, 30 * 86_400])
def test_any_length_of_time_has_few_ticks(length: float) -> None:
    [axes] = drawn(column(times=(0, length / 2, length))).axes
    assert 1 <= len(axes.get_xticks()) <= 31


def test_no_number_hides_another_and_the_title_stays_free() -> None:
    moments = [Moment(at, f"change {at}") for at in (0, 0.1, 0.2, 20, 60, 60, 62.5, 62.5, 120)]
    axes = drawn(column(moments=moments)).axes[0]
    heights = [each.xyann[1] for each in axes.texts]
    assert heights == [19, 29, 39, 19, 19, 29, 39, 19, 19]
    calm = drawn(column(moments=moments[3:5]))
    assert drawn(column(moments=moments)).get_figheight() > calm.get_figheight()


def test_moments_as_told() -> None:
    assert [clock(0), clock(5), clock(65), clock(3725)] == ["0:00", "0:05", "1:05", "1:02:05"]
