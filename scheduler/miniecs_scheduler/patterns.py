"""Regular expressions that match a whole string in linear time, for `matches` in the query language.

ECS takes Java's regular expressions from its users. Python's `re` backtracks: a pattern of thirty
characters can hold the control plane for hours. Here a pattern is a set of states that are advanced
together, so it cannot; what needs backtracking (backreferences, lookaround, possessive quantifiers)
is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_MAX_STATES: Final = 2000
_MAX_DEPTH: Final = 50
_MAX_CACHE: Final = 5000
_QUANTIFIERS: Final = "*+?{"

CharTest = Callable[[str], bool]


class PatternError(ValueError):
    """A pattern that is malformed or that cannot be matched in linear time."""

    def __init__(self, position: int, expected: str, message: str) -> None:
        super().__init__(message)
        self.position = position
        self.expected = expected
        self.message = message


def _any_char(char: str) -> bool:
    return char not in "\n\r\u0085\u2028\u2029"


def _is_digit(char: str) -> bool:
    return "0" <= char <= "9"


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")


def _is_space(char: str) -> bool:
    return char in " \t\n\x0b\f\r"


def _negate(test: CharTest) -> CharTest:
    return lambda char: not test(char)


_CLASSES: Final[dict[str, CharTest]] = {
    "d": _is_digit,
    "w": _is_word,
    "s": _is_space,
    "D": _negate(_is_digit),
    "W": _negate(_is_word),
    "S": _negate(_is_space),
}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}

# A pattern is parsed to nested tuples: ("char", test) ("seq", [..]) ("alt", [..]) ("repeat", node, low, high)
# ("begin",) ("end",). They live only until the states are built.
_Node = tuple[object, ...]


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def parse(self) -> _Node:
        node = self.alternatives()
        if self.at < len(self.text):
            raise PatternError(self.at, "a pattern", "')' closes no group")
        return node

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def alternatives(self) -> _Node:
        branches = [self.sequence()]
        while self.peek() == "|":
            self.at += 1
            branches.append(self.sequence())
        return branches[0] if len(branches) == 1 else ("alt", branches)

    def sequence(self) -> _Node:
        parts: list[_Node] = []
        while self.peek() not in ("", "|", ")"):
            parts.append(self.repeated())
        return ("seq", parts)

    def repeated(self) -> _Node:
        start = self.at
        node = self.atom()
        bounds = self.quantifier()
        if bounds is None:
            return node
        if node[0] in ("begin", "end"):
            raise PatternError(start, "something to repeat", "an anchor cannot be repeated")
        if self.peek() == "+":
            raise PatternError(self.at, "a pattern", "possessive quantifiers are not supported")
        if self.peek() == "?":  # lazy: the same strings match as a whole
            self.at += 1
        if self.peek() != "" and self.peek() in _QUANTIFIERS:
            raise PatternError(self.at, "a pattern", "a quantifier follows a quantifier")
        return ("repeat", node, *bounds)

    def quantifier(self) -> tuple[int, int | None] | None:
        char = self.peek()
        if char == "" or char not in _QUANTIFIERS:
            return None
        start = self.at
        self.at += 1
        if char == "*":
            return 0, None
        if char == "+":
            return 1, None
        if char == "?":
            return 0, 1
        end = self.text.find("}", self.at)
        low, comma, high = self.text[self.at : end].partition(",") if end > 0 else ("", "", "")
        if not _is_number(low) or (high and not _is_number(high)):
            raise PatternError(start, "{n}, {n,} or {n,m}", "malformed repetition")
        self.at = end + 1
        least = int(low)
        most = None if comma and not high else int(high or low)
        if most is not None and most < least:
            raise PatternError(start, "{n,m} with n <= m", "a repetition's maximum is below its minimum")
        return least, most

    def atom(self) -> _Node:
        start = self.at
        char = self.peek()
        self.at += 1
        if char == "(":
            return self.group(start)
        if char == "[":
            return ("char", self.char_class(start))
        if char == ".":
            return ("char", _any_char)
        if char == "^":
            return ("begin",)
        if char == "$":
            return ("end",)
        if char == "\\":
            return ("char", self.escape(start))
        if char in _QUANTIFIERS:
            raise PatternError(start, "something to repeat", f"'{char}' has nothing to repeat")
        return ("char", char.__eq__)

    def group(self, start: int) -> _Node:
        if self.peek() == "?":
            if not self.text.startswith("?:", self.at):
                raise PatternError(start, "( or (?:", "lookaround, flags and named groups are not supported")
            self.at += 2
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise PatternError(start, f"at most {_MAX_DEPTH} nested groups", "the pattern is too deep")
        node = self.alternatives()
        self.depth -= 1
        if self.peek() != ")":
            raise PatternError(self.at, "')'", "a group is not closed")
        self.at += 1
        return node

    def escape(self, start: int) -> CharTest:
        char = self.peek()
        self.at += 1
        if char == "":
            raise PatternError(start, "a character after '\\'", "the pattern ends in '\\'")
        if char in _CLASSES:
            return _CLASSES[char]
        if char in _CONTROLS:
            return _CONTROLS[char].__eq__
        if "1" <= char <= "9" or char == "k":
            raise PatternError(start, "a pattern without backreferences", "backreferences are not supported")
        if char.isascii() and char.isalnum():
            expected = "\\d \\w \\s \\D \\W \\S or a quoted character"
            raise PatternError(start, expected, f"'\\{char}' is not supported")
        return char.__eq__

    def char_class(self, start: int) -> CharTest:
        negated = self.peek() == "^"
        if negated:
            self.at += 1
        tests: list[CharTest] = []
        first = True
        while first or self.peek() != "]":
            first = False
            if self.peek() == "":
                raise PatternError(start, "']'", "a character class is not closed")
            if self.peek() == "[" or self.text.startswith("&&", self.at):
                raise PatternError(self.at, "']'", "nested character classes are not supported")
            tests.append(self.class_item())
        self.at += 1
        union: CharTest = lambda char: any(test(char) for test in tests)  # noqa: E731
        return _negate(union) if negated else union

    def class_item(self) -> CharTest:
        start = self.at
        low = self.class_char()
        if not isinstance(low, str):
            return low
        if self.peek() != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return low.__eq__
        self.at += 1
        high = self.class_char()
        if not isinstance(high, str) or high < low:
            raise PatternError(start, "a range such as a-z", "a character range is out of order")
        return lambda char: low <= char <= high

    def class_char(self) -> str | CharTest:
        char = self.peek()
        if char != "\\":
            self.at += 1
            return char
        escaped = self.text[self.at + 1 : self.at + 2]
        self.at += 1
        test = self.escape(self.at - 1)
        return test if escaped in _CLASSES else _CONTROLS.get(escaped, escaped)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4


class Pattern:
    """A compiled pattern. `matches` looks at each character of the value once."""

    __slots__ = ("_accept", "_begins", "_cache", "_edges", "_ends", "_start", "_tests", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._edges: list[list[int]] = []
        self._tests: list[CharTest | None] = []
        self._begins: set[int] = set()
        self._ends: set[int] = set()
        self._cache: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        start, self._accept = self._build(_Parser(text).parse())
        self._start = self._closure([start], at_begin=True)

    def matches(self, value: str) -> bool:
        states = self._start
        for char in value:
            known = self._cache.get((states, char))
            if known is None:
                known = self._advance(states, char)
                if len(self._cache) >= _MAX_CACHE:
                    self._cache.clear()
                self._cache[states, char] = known
            if not known:
                return False
            states = known
        return self._accept in self._closure(states, at_begin=not value, at_end=True)

    def _advance(self, states: frozenset[int], char: str) -> frozenset[int]:
        reached = []
        for state in states:
            test = self._tests[state]
            if test is not None and test(char):
                reached.extend(self._edges[state])
        return self._closure(reached)

    def _closure(
        self, states: list[int] | frozenset[int], at_begin: bool = False, at_end: bool = False
    ) -> frozenset[int]:
        seen = set(states)
        todo = list(states)
        while todo:
            state = todo.pop()
            if self._tests[state] is not None:
                continue
            if (state in self._begins and not at_begin) or (state in self._ends and not at_end):
                continue
            for after in self._edges[state]:
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
        return frozenset(seen)

    def _state(self, test: CharTest | None = None) -> int:
        if len(self._edges) >= _MAX_STATES:
            raise PatternError(0, "a smaller pattern", "the pattern's repetitions make it too large")
        self._edges.append([])
        self._tests.append(test)
        return len(self._edges) - 1

    def _build(self, node: _Node) -> tuple[int, int]:
        """States for a node: where it is entered and where it is left."""
        match node:
            case ("char", test):
                return self._link(test)  # type: ignore[arg-type]
            case ("seq", list(parts)):
                enter = leave = self._state()
                for part in parts:
                    first, last = self._build(part)
                    self._edges[leave].append(first)
                    leave = last
                return enter, leave
            case ("alt", list(branches)):
                enter, leave = self._state(), self._state()
                for branch in branches:
                    first, last = self._build(branch)
                    self._edges[enter].append(first)
                    self._edges[last].append(leave)
                return enter, leave
            case ("repeat", tuple(inner), int(low), high):
                return self._repeat(inner, low, high if isinstance(high, int) else None)
            case ("begin",):
                enter, leave = self._link(None)
                self._begins.add(enter)
                return enter, leave
            case _:
                enter, leave = self._link(None)
                self._ends.add(enter)
                return enter, leave

    def _link(self, test: CharTest | None) -> tuple[int, int]:
        enter, leave = self._state(test), self._state()
        self._edges[enter].append(leave)
        return enter, leave

    def _repeat(self, inner: _Node, low: int, high: int | None) -> tuple[int, int]:
        enter = leave = self._state()
        for _ in range(low):
            first, last = self._build(inner)
            self._edges[leave].append(first)
            leave = last
        if high is None:
            loop, (first, last) = self._state(), self._build(inner)
            self._edges[leave].append(loop)
            self._edges[loop].append(first)
            self._edges[last].append(loop)
            return enter, loop
        skips = []
        for _ in range(high - low):
            first, last = self._build(inner)
            skips.append(leave)
            self._edges[leave].append(first)
            leave = last
        end = self._state()
        for state in (*skips, leave):
            self._edges[state].append(end)
        return enter, end
