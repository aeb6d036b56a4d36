"""What a value means that leaves something out."""

from __future__ import annotations

from unittest.mock import ANY

from miniecs_scheduler import Constraint, Decision, Host, Placement, Rejection, Request, Resources, Strategy


def test_what_is_left_out_is_nothing() -> None:
    nothing: frozenset[int] = frozenset()
    offer = Resources(1, 2)
    assert offer == Resources(1, 2, 0, 0, nothing, nothing)
    assert Host("h", {}, offer) == Host("h", {}, offer, True, True, "", "", 0.0)
    assert Request(offer, 1, "g") == Request(offer, 1, "g", (), (), (), 0, None)
    assert Constraint("distinctInstance") == Constraint("distinctInstance", "")
    assert Strategy("random") == Strategy("random", "")
    assert Rejection("h", "AGENT", "away") == Rejection("h", "AGENT", "away", 0, 0)
    assert Decision((), 0, 0, {}, (), None, "").record == ""


def test_placements_are_equal_when_host_and_reason_are() -> None:
    placed = Placement("h", "only one")
    assert placed == Placement("h", "only one")
    assert hash(placed) == hash(Placement("h", "only one"))
    assert placed not in (Placement("g", "only one"), Placement("h", "by chance"), "h")
    assert placed == ANY, "what is no placement is asked in its turn"
    assert repr(placed) == "Placement(host='h', because='only one')"
