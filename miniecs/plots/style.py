"""What all pictures have in common: colours, letters, how a figure is made, saved or refused.

No state of matplotlib's own is touched (no pyplot): figures are objects, and their settings hold while one is
drawn. The same data gives the same SVG, byte for byte, so that a picture in a repository changes only when
what it shows does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = (
    "#0072b2",  # blue
    "#e69f00",  # orange
    "#009e73",  # green
    "#cc79a7",  # pink
    "#56b4e9",  # light blue
    "#d55e00",  # red
    "#f0e442",  # yellow
    "#7f3c8d",  # violet
)
"""Okabe's and Ito's colours, which people with any kind of colour blindness tell apart, and a dark violet."""
OTHERS: Final = "#8c8c8c"
INK: Final = "#222222"
QUIET: Final = "#6b6b6b"  # of what is read second
LINE: Final = "#b5b5b5"
EMPTY: Final = "#f2f2f2"  # what is free
PAPER: Final = "#ffffff"
NEW: Final[dict[str, Any]] = {"hatch": "/////", "edgecolor": PAPER, "linewidth": 0.0}
FRAME: Final[dict[str, Any]] = {"facecolor": "none", "edgecolor": INK}
"""Tasks that are not there yet are hatched in white and framed, so that they keep their colour."""
CLOSED: Final[dict[str, Any]] = {"hatch": "xxxx", "facecolor": EMPTY, "edgecolor": LINE, "linewidth": 0.6}
"""What is free where nothing is placed: on hosts that drain or whose agent is away."""

_SETTINGS: Final[Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "miniecs",
    "figure.facecolor": PAPER,
}
_FORMATS: Final = (".svg", ".png")
_DPI: Final = 150


class PlotProblem(Exception):
    """No picture can be made or written; the message says why and what to do."""


class PathProblem(PlotProblem):
    """The name of the file is not one that a picture could have."""


def check_path(path: Path) -> None:
    """Refuse at once what could not be saved at the end. Raises PlotProblem."""
    if path.suffix.lower() not in _FORMATS:
        raise PathProblem(f"{path}: pictures are .svg or .png files; give the name such an end.")
    if path.is_dir():
        raise PathProblem(f"{path} is a folder; name a file for the picture.")
    if not path.parent.is_dir():
        raise PathProblem(f"{path}: there is no folder {path.parent}; make it first.")
    try:
        import matplotlib  # noqa: F401
    except ImportError as missing:
        raise PlotProblem(
            f"Pictures need matplotlib ({missing}). Install it with: pip install 'miniecs[plot]'"
        ) from missing


@contextmanager
def drawing() -> Iterator[None]:
    """Make, fill and save figures within this: our settings and none of the user's."""
    import matplotlib

    with matplotlib.rc_context():
        # All but the backend, which is not used, and would import pyplot only to be set.
        defaults: Any = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
        matplotlib.rcParams.update(defaults)
        matplotlib.rcParams.update(_SETTINGS)
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure, its size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format that its name ends in. Raises PlotProblem."""
    check_path(path)
    kind = path.suffix.lower()[1:]
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    try:
        figure.savefig(path, format=kind, dpi=_DPI, metadata=metadata)
    except OSError as problem:
        raise PlotProblem(f"{path} cannot be written: {problem.strerror or problem}.") from problem


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, in their order; those after the eighth share one (grey)."""
    unique = list(dict.fromkeys(names))
    return {name: COLOURS[n] if n < len(COLOURS) else OTHERS for n, name in enumerate(unique)}


def short(text: str, most: int) -> str:
    """The text, its middle left out where it is longer: ends of names tell more than middles."""
    if len(text) <= most:
        return text
    front = (most - 1) * 2 // 3
    return f"{text[:front]}…{text[len(text) - (most - 1 - front) :]}"


def textwidth(text: str, size: float) -> float:
    """About how wide a text is, in inches, in letters of so many points."""
    return len(text) * size * 0.56 / 72


class Box(NamedTuple):
    """A part of a figure, in inches from its lower left corner."""

    left: float
    bottom: float
    width: float
    height: float

    def part(
        self, figure: Figure, left: float, bottom: float, width: float, height: float
    ) -> tuple[float, float, float, float]:
        """What lies so far inside the box, as parts of the figure."""
        across, up = figure.get_size_inches()
        return (self.left + left) / across, (self.bottom + bottom) / up, width / across, height / up


def heading_width(title: str, subtitle: str) -> float:
    return max(textwidth(title, 11.5), textwidth(subtitle, 8))


def heading(figure: Figure, box: Box, left: float, title: str, subtitle: str) -> None:
    """Two lines at the top of a box."""
    x, y, _, _ = box.part(figure, left, box.height, 0, 0)
    _, down, _, _ = Box(0, 0, 0, 0).part(figure, 0, 1, 0, 0)
    figure.text(x, y - 0.12 * down, title, va="top", fontsize=10, fontweight="bold")
    figure.text(x, y - 0.33 * down, subtitle, va="top", fontsize=8, color=QUIET)


class Rectangles:
    """Many rectangles, each kind of them drawn at once: a thousand of them are a dozen objects."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, bool], list[tuple[float, float, float, float]]] = {}

    def free(self, left: float, bottom: float, width: float, height: float, *, usable: bool) -> None:
        kind = ("free", EMPTY, False) if usable else ("closed", EMPTY, False)
        self._kinds.setdefault(kind, []).append((left, bottom, width, height))

    def tasks(
        self, left: float, bottom: float, width: float, height: float, colour: str, *, new: bool
    ) -> None:
        if height > 0:  # tasks that take nothing of what is drawn are not seen
            self._kinds.setdefault(("tasks", colour, new), []).append((left, bottom, width, height))

    def add_to(self, axes: Axes, name: str, *, edge: float, frame: float) -> None:
        """edge, frame: points of white between tasks, and of the line around new ones.

        In an SVG the rectangles of a kind are a group whose id is the name, the kind and the colour.
        """
        for (what, colour, new), rectangles in sorted(self._kinds.items(), key=_layer):
            corners = [((x, y), (x + w, y), (x + w, y + h), (x, y + h)) for x, y, w, h in rectangles]
            look = {"free": {"facecolor": EMPTY, "edgecolor": LINE, "linewidth": 0.6}, "closed": CLOSED}.get(
                what
            )
            if look is None:
                look = {"facecolor": colour} | (NEW if new else {"edgecolor": PAPER, "linewidth": edge})
            axes.add_collection(_polygons(corners, look, f"{name}-{'new' if new else what}-{colour[1:]}"))
            if new:
                axes.add_collection(
                    _polygons(corners, FRAME | {"linewidth": frame}, f"{name}-frame-{colour[1:]}")
                )


def _layer(kind: tuple[tuple[str, str, bool], Any]) -> tuple[int, int]:
    """Free amounts at the back, new tasks in front; colours in their own order."""
    (what, colour, new), _ = kind
    return ("closed", "free", "tasks").index(what) + new, COLOURS.index(colour) if colour in COLOURS else -1


def _polygons(corners: Sequence[Any], look: dict[str, Any], gid: str) -> Any:
    from matplotlib.collections import PolyCollection

    made = PolyCollection(corners, clip_on=False, **look)
    made.set_gid(gid)
    return made


def legend(figure: Figure, handles: Sequence[Any], *, top: float, columns: int) -> None:
    """One legend for the whole figure; ``top`` is its upper edge as a part of the figure's height."""
    figure.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(0.0, top),
        ncols=columns,
        handlelength=1.4,
        handleheight=1.0,
        columnspacing=1.4,
    )
