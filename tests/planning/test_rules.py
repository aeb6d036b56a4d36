"""Strategies and constraints in one line, and what is said of those that do not exist."""

from __future__ import annotations

import pytest

from miniecs.model.service import PlacementConstraint, PlacementStrategy
from miniecs.planning.rules import chain, constraint
from miniecs.planning.words import said


def test_a_chain_is_read_and_said_again() -> None:
    text = "spread:attribute:ecs.availability-zone,binpack:memory,random"
    assert chain(text) == (
        PlacementStrategy("spread", "attribute:ecs.availability-zone"),
        PlacementStrategy("binpack", "memory"),
        PlacementStrategy("random"),
    )
    assert said(chain(text)) == text
    assert chain(" binpack:CPU , spread:host") == chain("binpack:cpu,spread:instanceId")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("binpak:memory", "'binpak:memory' is not a placement strategy; did you mean binpack:memory?"),
        ("binpack:memry", "'binpack:memry' is not a placement strategy; did you mean binpack:memory?"),
        ("binpack", "'binpack' is not a placement strategy; there are random, spread:instanceId, "),
        ("spread:ecs.availability-zone", "did you mean spread:attribute:ecs.availability-zone?"),
        ("spread:instance", "did you mean spread:instanceId?"),
        ("spred:attribute:rack", "did you mean spread:attribute:rack?"),
        ("random:cpu", "did you mean random?"),
        ("", "'' is not a placement strategy; there are random, "),
        ("random,,random", "'' is not a placement strategy"),
        ("random,random,random,random,random,random", "6 placement strategies; ECS takes at most 5"),
    ],
)
def test_strategies_that_do_not_exist(text: str, told: str) -> None:
    with pytest.raises(ValueError) as refused:
        chain(text)
    assert told in str(refused.value)


def test_constraints() -> None:
    assert constraint("distinctInstance") == PlacementConstraint("distinctInstance")
    text = "memberOf:attribute:ecs.instance-type =~ t2.* and task:group != a"
    assert said([constraint(text)]) == text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("distinctInstances", "did you mean distinctInstance?"),
        ("distinctInstance:x", "distinctInstance takes no expression"),
        ("memberOf", "memberOf needs an expression"),
        ("memberOf:attribute:a ==", "at position 14: expected "),
        ("memberOf:" + "a" * 2001, "the expression has 2001 characters; ECS takes at most 2000"),
        ("memberOf:attribute:a =~ (a*)*(b", "at position "),
        ({"type": "memberOf", "exp": "x"}, "must be a word like distinctInstance, or an object"),
        (7, "must be a word like distinctInstance, or an object with type and expression"),
    ],
)
def test_constraints_that_are_wrong(given: object, told: str) -> None:
    with pytest.raises(ValueError) as refused:
        constraint(given)
    assert told in str(refused.value)


def test_a_mistake_in_a_long_expression_is_shown_with_what_is_around_it() -> None:
    expression = " or ".join(f"attribute:a{n} == 1" for n in range(60)) + " or attribute:b = 2"
    with pytest.raises(ValueError) as refused:
        constraint(f"memberOf:{expression}")
    _, shown, mark = str(refused.value).splitlines()
    assert len(shown) < 90
    assert shown[mark.index("^")] == "="
