"""From stamped output to lines, and reading a log again without repeating or losing any."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from miniecs.cli.loglines import Line, Lines, Position, stamp_of

T = [f"2026-01-02T03:04:05.{number:09d}Z" for number in range(100)]


def fed(*pieces: bytes) -> list[Line]:
    lines = Lines()
    return [line for piece in pieces for line in lines.feed(piece)] + list(lines.rest())


def test_stamps_are_taken_off() -> None:
    raw = f"{T[0]} one\n{T[1]} \n{T[2]} two words\r\n{T[3]} no end".encode()
    assert fed(raw) == [
        Line(T[0], b"one"), Line(T[1], b""), Line(T[2], b"two words\r"), Line(T[3], b"no end", ends=False)
    ]


def test_what_has_no_stamp_is_left_as_it_is() -> None:
    assert fed(b"2026-01-02 is no stamp\nnor Tis\n") == [
        Line("", b"2026-01-02 is no stamp"), Line("", b"nor Tis")
    ]


@given(st.lists(st.integers(0, 70_000), max_size=5), st.lists(st.integers(0, 200_000), max_size=5))
def test_long_lines_are_put_together_however_they_arrive(lengths: list[int], cuts: list[int]) -> None:
    texts = [bytes([97 + number]) * length for number, length in enumerate(lengths)]
    raw = b"".join(stamped(T[number].encode(), text) for number, text in enumerate(texts))
    edges = [0, *sorted(cuts), len(raw)]
    pieces = [raw[start:end] for start, end in zip(edges, edges[1:], strict=False)]
    assert fed(*pieces) == [Line(T[number], text) for number, text in enumerate(texts)]


def stamped(stamp: bytes, text: bytes) -> bytes:
    """As Docker 20.10 writes a line: each 16 KiB of it behind the stamp, a last piece that is empty not."""
    pieces = [text[start : start + 16384] for start in range(0, len(text), 16384)] or [b""]
    return b"".join(stamp + b" " + piece for piece in pieces) + b"\n"


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    lines = Lines()
    stamp = T[0].encode()
    parts = [part for _ in range(200) for part in lines.feed(stamp + b" " + b"x" * 16384)]
    parts += lines.feed(b"\n")
    assert b"".join(part.text for part in parts) == b"x" * 16384 * 200
    assert {part.stamp for part in parts} == {T[0]}
    assert [part.ends for part in parts] == [False] * (len(parts) - 1) + [True]
    assert max(len(part.text) for part in parts) <= 1200 * 1024


CUTS = st.lists(st.integers(0, 30), max_size=4)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=30), CUTS)
def test_a_log_that_is_read_with_interruptions_gives_each_line_once(
    written: list[tuple[bool, int]], cuts: list[int]
) -> None:
    """Also when lines have the same stamp, and when the channels are not in order with each other."""
    clocks = {False: 0, True: 5}
    log = []
    for number, (error, later) in enumerate(written):
        clocks[error] += later
        log.append((error, Line(T[clocks[error]], str(number).encode())))
    assert read(Position(), log, log, cuts) == [line.text for _, line in log]


@given(st.lists(st.booleans(), max_size=30), CUTS, st.integers(1, 30))
def test_of_a_log_that_is_read_from_its_end_nothing_older_comes_later(
    written: list[bool], cuts: list[int], tail: int
) -> None:
    log = [(error, Line(T[number], str(number).encode())) for number, error in enumerate(written)]
    begun = log[-tail:]
    assert read(Position(partial=True), log, begun, cuts) == [line.text for _, line in begun]


Written = list[tuple[bool, Line]]


def read(position: Position, log: Written, begun: Written, cuts: list[int]) -> list[bytes]:
    """The new lines of what is read first, and of the whole log after each interruption."""
    seen: list[bytes] = []
    for cut in [*sorted(cuts), len(log)]:
        part = (log if seen else begun)[:cut]
        seen += [line.text for error, line in part if position.is_new(error, line)]
        position.again()
    return seen


def test_from_when_on_a_log_is_read_again() -> None:
    position = Position()
    assert position.again() is None
    assert position.is_new(False, Line("2026-01-02T03:04:05.900000000Z", b"a"))
    assert position.again() == 1767323044  # a second before that of the last line
    assert Position(stamp_of(1767323045.25)).again() == 1767323044


def test_who_wants_no_old_lines_gets_none_after_an_interruption_either() -> None:
    position = Position(stamp_of(1767323045.25))
    position.again()
    assert not position.is_new(False, Line("2026-01-02T03:04:05.249999999Z", b"old"))
    assert position.is_new(True, Line("2026-01-02T03:04:05.250000001Z", b"new"))


def test_a_moment_as_engines_write_it() -> None:
    assert stamp_of(1767323045.25) == "2026-01-02T03:04:05.250000000Z"
