"""Patterns agree with Python's `re` where that is safe, and take linear time where it is not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniecs_scheduler.patterns import Pattern, PatternError

_atoms = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", "[a-c]", "\\d", "\\w", "\\.", "[\\d-]", "\\S", "[]a]"]
)
_patterns = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"])).map(
            lambda two: f"({two[0]}){two[1]}"
        ),
        inner.map(lambda one: f"^{one}$"),
    ),
    max_leaves=6,
)


@given(_patterns, st.text(alphabet="abc1.-]", max_size=8))
def test_same_as_re(pattern: str, value: str) -> None:
    assert Pattern(pattern).matches(value) == bool(re.fullmatch(pattern, value)), (pattern, value)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a*)*b", ".*.*.*.*.*.*.*.*b", "(a?){60}a{60}b"])
def test_patterns_that_make_re_hang_are_answered(pattern: str) -> None:
    compiled = Pattern(pattern)
    assert not compiled.matches("a" * 128)
    assert compiled.matches("a" * 100 + "b")


@pytest.mark.parametrize(
    ("pattern", "position", "message"),
    [
        ("a)", 1, "')' closes no group"),
        ("(a", 2, "a group is not closed"),
        ("[a", 0, "a character class is not closed"),
        ("[a-", 0, "a character class is not closed"),
        ("*a", 0, "'*' has nothing to repeat"),
        ("a|?", 2, "'?' has nothing to repeat"),
        ("^*", 0, "an anchor cannot be repeated"),
        ("a*+", 2, "possessive quantifiers are not supported"),
        ("a+*", 2, "a quantifier follows a quantifier"),
        ("a{2,1}", 1, "a repetition's maximum is below its minimum"),
        ("a{x}", 1, "malformed repetition"),
        ("a{", 1, "malformed repetition"),
        ("a\\", 1, "the pattern ends in '\\'"),
        ("(a)\\1", 3, "backreferences are not supported"),
        ("\\bfoo", 0, "'\\b' is not supported"),
        ("\\p{L}", 0, "'\\p' is not supported"),
        ("(?i)a", 0, "lookaround, flags and named groups are not supported"),
        ("[b-a]", 1, "a character range is out of order"),
        ("[a&&b]", 2, "nested character classes are not supported"),
        ("(" * 51, 50, "the pattern is too deep"),
        ("(a{1000}){1000}", 0, "the pattern's repetitions make it too large"),
    ],
)
def test_errors_say_where(pattern: str, position: int, message: str) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern(pattern)
    assert (caught.value.position, caught.value.message) == (position, message)
    assert caught.value.expected


@given(st.text(alphabet="ab|()[]{}*+?^$\\-,1", max_size=20))
def test_any_text_is_a_pattern_or_an_error(text: str) -> None:
    try:
        Pattern(text).matches("ab")
    except PatternError as error:
        assert 0 <= error.position <= len(text)
