"""Flow control: nothing is lost, reordered or stuck, and never more is under way than the window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniecs.model import stream
from miniecs.model.stream import CHUNK, NARROW, WINDOW, FlowError, ReceiveWindow, SendWindow

SIZES = st.one_of(st.integers(0, 100), st.integers(0, 3 * CHUNK), st.integers(0, WINDOW))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["stdout", "stderr"]), SIZES),
        st.tuples(st.just("read"), SIZES),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([WINDOW, NARROW]))
def test_whatever_is_written_and_read_arrives_in_order_and_within_the_window(
    steps: list[tuple[str, int]], size: int
) -> None:
    sender, receiver = SendWindow(size), ReceiveWindow()
    written: list[tuple[str, bytes]] = []
    arrived: list[tuple[str, bytes]] = []
    unread, number = 0, 0

    def move() -> None:
        nonlocal unread
        for channel, data in sender.take():
            assert 0 < len(data) <= CHUNK
            receiver.received(len(data))
            arrived.append((channel, data))
            unread += len(data)
        assert unread <= size

    def read(count: int) -> None:
        nonlocal unread
        unread -= count
        credit = receiver.consumed(count)
        if credit:
            sender.credited(credit)

    for name, count in steps:
        if name == "read":
            read(min(count, unread))
        else:
            number += 1
            data = bytes([number % 251]) * count
            written.append((name, data))
            sender.put(name, data)
        move()
    while unread:
        read(unread)
        move()
    assert sender.waiting == 0  # who reads everything gets everything: no credit is held back for ever
    assert _joined(arrived) == _joined(written)


def _joined(pieces: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Neighbours of one channel as one."""
    joined: list[tuple[str, bytes]] = []
    for channel, data in pieces:
        if joined and joined[-1][0] == channel:
            joined[-1] = (channel, joined[-1][1] + data)
        elif data:
            joined.append((channel, data))
    return joined


def test_small_writes_of_one_channel_leave_as_one() -> None:
    sender = SendWindow()
    for channel, data in (("stdout", b"a"), ("stdout", b"b"), ("stderr", b"c"), ("stdout", b"d")):
        sender.put(channel, data)
    assert sender.take() == [("stdout", b"ab"), ("stderr", b"c"), ("stdout", b"d")]


def test_a_sender_stops_at_its_window_and_goes_on_with_credit() -> None:
    sender = SendWindow()
    sender.put("stdout", bytes(WINDOW + 10))
    assert sum(len(data) for _, data in sender.take()) == WINDOW
    assert (sender.take(), sender.waiting) == ([], 10)
    sender.credited(4)
    assert sender.take() == [("stdout", bytes(4))]


@pytest.mark.parametrize("count", [-1, 1, WINDOW + 1])
def test_credit_for_what_was_never_sent_is_refused(count: int) -> None:
    with pytest.raises(FlowError):
        SendWindow().credited(count)


def test_more_than_the_window_is_refused() -> None:
    receiver = ReceiveWindow()
    receiver.received(WINDOW)
    with pytest.raises(FlowError):
        receiver.received(1)
    assert receiver.consumed(WINDOW) == WINDOW
    receiver.received(1)


@pytest.mark.parametrize("count", [-1, 11])
def test_what_never_came_cannot_be_consumed(count: int) -> None:
    receiver = ReceiveWindow()
    receiver.received(10)
    with pytest.raises(FlowError):
        receiver.consumed(count)


def test_credit_is_given_in_portions() -> None:
    receiver = ReceiveWindow()
    receiver.received(WINDOW)
    given = [receiver.consumed(1024) for _ in range(32)]
    assert given == [16384 if number % 16 == 15 else 0 for number in range(32)]


def test_all_streams_of_a_connection_fit_into_what_may_wait_on_it() -> None:
    windows = sum(stream.window(others) for others in range(stream.MOST_STREAMS))
    assert windows * 4 / 3 < 16 * 1024 * 1024 * 0.9  # base64, and room for names and for tasks


@pytest.mark.parametrize("value", [None, "3", -3, 2.0, True])
def test_what_is_no_count_is_one_that_every_window_refuses(value: object) -> None:
    assert stream.whole({"bytes": value}, "bytes") == -1
