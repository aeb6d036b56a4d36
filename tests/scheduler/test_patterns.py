"""Patterns agree with Python's `re` where that is safe, and take linear time where it is not."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniecs_scheduler import patterns
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


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        # classes
        ("\\d", "059", "/:ax"),
        ("\\D", "/:ax", "059"),
        ("\\w", "azAZ09_", "-./ \u00e9"),
        ("\\W", "-./ \u00e9", "azAZ09_"),
        ("\\s", " \t\n\x0b\f\r", "aX\u00a0"),
        ("\\S", "a\u00a0", " \t\n\x0b\f\r"),
        (".", "aX \t\u00e9", "\n\r\u0085\u2028\u2029"),
        ("[ac-e]", "acde", "bf-"),
        ("[^ac-e]", "bf-\n", "acde"),
        ("[-a]", "-a", "b"),
        ("[a-]", "-a", "b"),
        ("[]a]", "]a", "["),
        ("[\\]\\d]", "]7", "\\d"),
        ("[\\d-z]", "5-z", "y"),
        ("[\\t-\\r]", "\t\n\r", " t"),
        ("[+-/]", "+,-./", "*0"),
        ("[a-a]", "a", "b-"),
        # escapes
        ("\\t", "\t", "t"),
        ("\\n", "\n", "n"),
        ("\\r", "\r", "r"),
        ("\\f", "\f", "f"),
        ("\\.", ".", "a"),
        ("\\\\", "\\", "/"),
        ("\\$", "$", "a"),
    ],
)
def test_one_character(pattern: str, yes: str, no: str) -> None:
    compiled = Pattern(pattern)
    assert [char for char in yes if not compiled.matches(char)] == []
    assert [char for char in no if compiled.matches(char)] == []


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("", [""], ["a"]),
        ("ab", ["ab"], ["a", "abc", "xab", ""]),
        ("a|bc|", ["a", "bc", ""], ["abc", "b"]),
        ("a*", ["", "a", "aaa"], ["b", "ab"]),
        ("a+", ["a", "aaa"], [""]),
        ("a?b", ["b", "ab"], ["aab"]),
        ("a??b", ["b", "ab"], ["aab"]),
        ("a{0}b", ["b"], ["ab"]),
        ("a{2}", ["aa"], ["a", "aaa"]),
        ("a{2,}", ["aa", "aaaaa"], ["a"]),
        ("a{1,3}", ["a", "aa", "aaa"], ["", "aaaa"]),
        ("a{10}", ["a" * 10], ["a" * 9, "a" * 11]),
        ("(ab){2}c", ["ababc"], ["abc", "abababc"]),
        ("(?:ab|c)+", ["ab", "cab", "abcc"], ["", "a"]),
        ("(a|b(c|d))e", ["ae", "bce", "bde"], ["be", "ace"]),
        ("^a$", ["a"], ["aa"]),
        ("(^a|b)c", ["ac", "bc"], ["c"]),
        ("a(b|$)", ["ab", "a"], ["abb", "ac"]),
        ("a^b", [], ["ab", "a^b"]),
        ("a$b", [], ["ab", "a$b"]),
        ("a^", [], ["a", "a^"]),
        ("$^", [""], ["a"]),
        ("[a-]b", ["ab", "-b"], ["a", "bb"]),
        ("^$", [""], ["a"]),
        ("t[23]\\.(micro|small)", ["t2.micro", "t3.small"], ["t2-micro", "t4.small"]),
    ],
)
def test_whole_values(pattern: str, yes: list[str], no: list[str]) -> None:
    compiled = Pattern(pattern)
    for _ in range(2):  # the second time from memory
        assert [value for value in yes if not compiled.matches(value)] == []
        assert [value for value in no if compiled.matches(value)] == []


def test_what_means_nothing_else_stands_for_itself() -> None:
    for char in set(string.printable) - set("\\.[^$|()?*+{"):
        assert Pattern(f"{char}b").matches(f"{char}b"), char
        assert Pattern(f"a{char}b").matches(f"a{char}b"), char


def test_bounds_of_a_pattern() -> None:
    assert Pattern("(" * 50 + "a" + ")" * 50).matches("a")
    assert Pattern("()" * 300).matches("")
    assert Pattern("a{600}").matches("a" * 600)
    assert Pattern("()" * 3 + "(" * 50 + ")" * 50).matches("")
    with pytest.raises(PatternError, match="too deep"):
        Pattern("()" + "(" * 51 + ")" * 51)
    many = Pattern(".*")
    assert all(many.matches(chr(code)) for code in range(0x4E00, 0x4E00 + 6000)), "more than is remembered"


def test_of_steps_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_MAX_CACHE", 3)
    pattern = Pattern(".*")
    for char in "abcdefgh":
        assert pattern.matches(char)
        assert len(pattern._cache) <= 3


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
        ("a$+", 1, "an anchor cannot be repeated"),
        ("a*+", 2, "possessive quantifiers are not supported"),
        ("a+*", 2, "a quantifier follows a quantifier"),
        ("a{2,1}", 1, "a repetition's maximum is below its minimum"),
        ("a{x}", 1, "malformed repetition"),
        ("a{", 1, "malformed repetition"),
        ("a\\", 1, "the pattern ends in '\\'"),
        ("(a)\\1", 3, "backreferences are not supported"),
        ("(a)\\9", 3, "backreferences are not supported"),
        ("(a)\\k", 3, "backreferences are not supported"),
        ("\\A", 0, "'\\A' is not supported"),
        ("a[\\p]", 2, "'\\p' is not supported"),
        ("a{10000}", 1, "malformed repetition"),
        ("[a[b]]", 2, "nested character classes are not supported"),
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
    assert str(caught.value) == message
    assert caught.value.expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a)", "a pattern"),
        ("(a", "')'"),
        ("[a", "']'"),
        ("[[a]]", "']'"),
        ("*a", "something to repeat"),
        ("^*", "something to repeat"),
        ("a*+", "a pattern"),
        ("a+*", "a pattern"),
        ("a{2,1}", "{n,m} with n <= m"),
        ("a{x}", "{n}, {n,} or {n,m}"),
        ("a\\", "a character after '\\'"),
        ("(a)\\1", "a pattern without backreferences"),
        ("\\b", "\\d \\w \\s \\D \\W \\S or a quoted character"),
        ("(?=a)", "( or (?:"),
        ("[b-a]", "a range such as a-z"),
        ("(" * 51, "at most 50 nested groups"),
        ("a{1000}" * 3, "a smaller pattern"),
    ],
)
def test_errors_say_what_was_expected(pattern: str, expected: str) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern(pattern)
    assert caught.value.expected == expected


@given(st.text(alphabet="ab|()[]{}*+?^$\\-,1", max_size=20))
def test_any_text_is_a_pattern_or_an_error(text: str) -> None:
    try:
        Pattern(text).matches("ab")
    except PatternError as error:
        assert 0 <= error.position <= len(text)
