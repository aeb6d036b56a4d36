"""When a channel is dialled and when it is given up."""

from __future__ import annotations

from miniecs_agent.core.link import Link, LinkState


def test_silence_is_measured_from_the_last_word() -> None:
    link = Link(jitter=15.0)
    link.ready(0.0)
    link.dialled()
    assert (link.wake_at, link.silent(1000.0)) == (None, False)
    link.opened(10.0)
    assert (link.wake_at, link.silent(84.9), link.silent(85.0)) == (85.0, False, True)
    link.heard(50.0)
    assert (link.wake_at, link.silent(85.0), link.silent(125.0)) == (125.0, False, True)


def test_it_is_not_dialled_before_it_is_wanted() -> None:
    link = Link(jitter=0.0)
    assert not link.should_dial(1000.0)
    link.ready(5.0)
    assert (link.should_dial(4.0), link.should_dial(5.0)) == (False, True)
    link.dialled()
    assert not link.should_dial(6.0)
    link.ready(7.0)
    assert link.state is LinkState.OPENING


def test_refusals_back_off_and_a_success_forgets_them() -> None:
    link = Link(jitter=0.0)
    link.ready(0.0)
    waits = []
    for _ in range(17):
        link.refused(0.0, inactive=False)
        waits.append(link.retry_at)
    assert waits[:4] == [0.25, 0.375, 0.5625, 0.84375]
    assert waits[-1] == 120.0
    link.opened(0.0)
    link.closed(30.0)
    assert link.should_dial(30.0)
    link.refused(30.0, inactive=False)
    assert link.retry_at == 30.25
    link.refused(30.0, inactive=True)
    assert link.retry_at == 3630.0


def test_a_connection_that_ends_at_once_counts_as_refused() -> None:
    link = Link(jitter=0.0)
    link.ready(0.0)
    waits, now = [], 0.0
    for _ in range(3):
        link.opened(now)
        link.closed(now + 0.5)
        waits.append(link.retry_at - now - 0.5)
        now = link.retry_at
    assert waits == [0.25, 0.375, 0.5625]
    link.opened(now)
    link.closed(now + 1.0)
    assert link.retry_at == now + 1.0


def test_an_agent_that_is_not_wanted_back_at_once_waits() -> None:
    link = Link(jitter=0.0)
    link.opened(0.0)
    link.closed(30.0, unwelcome=True)
    assert link.retry_at == 30.25


def test_a_wait_ends_when_the_other_side_is_known_to_be_back_unless_the_instance_is_inactive() -> None:
    link = Link(jitter=0.0)
    link.ready(0.0)
    for _ in range(10):
        link.refused(0.0, inactive=False)
    link.hasten(1.0)
    assert link.should_dial(1.0)
    link.refused(1.0, inactive=False)
    assert link.retry_at == 1.25
    link.refused(2.0, inactive=True)
    link.hasten(3.0)
    assert not link.should_dial(3.0)
