"""The cluster query language: a text such as `attribute:stack == prod and runningTasksCount < 3`.

It is compiled once and asked of many hosts: by memberOf constraints and by ListContainerInstances'
filter. An expression also says which attributes it reads, so that the index can ask it once for a
whole class of equal hosts. The grammar is AWS's page "Create expressions to define container
instances for Amazon ECS tasks".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, reduce
from typing import Final

from miniecs_scheduler.dates import format_date, parse_date
from miniecs_scheduler.patterns import Pattern, PatternError
from miniecs_scheduler.tokens import ExpressionError, Token, tokenize
from miniecs_scheduler.types import Host

MAX_LENGTH: Final = 2000
_MAX_DEPTH: Final = 50
_MAX_VALUES: Final = 1024  # of which an answer is remembered

Test = Callable[[Host, int, Collection[str]], bool]
_Value = Callable[[Host, int, Collection[str]], str | None]


_SPELLINGS: Final = {
    "equals": "==",
    "not_equals": "!=",
    "in": "in",
    "not_in": "!in",
    "matches": "=~",
    "not_matches": "!~",
    "exists": "exists",
    "not_exists": "!exists",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
}
_SYMBOLS: Final = frozenset(_SPELLINGS.values())
_NEGATED: Final = {"!=": "==", "!in": "in", "!~": "=~", "!exists": "exists"}
_TEXT_OPERATORS: Final = ("==", "!=", "in", "!in", "=~", "!~")
_ORDER_OPERATORS: Final = ("==", "!=", ">", ">=", "<", "<=")
_SUBJECTS: Final = (
    "attribute:NAME, task:group, agentConnected, agentVersion, ec2InstanceId, registeredAt "
    "or runningTasksCount"
)
_ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z0-9_./\\-]{1,128}")


class Expression:
    """A compiled query.

    `attributes` are the names that it reads; `reads_version` says whether it reads agentVersion;
    `varies` whether it reads what differs from host to host or changes as tasks come and go.
    """

    __slots__ = ("_subjects", "_test", "attributes", "reads_version", "text", "varies")

    def __init__(self, text: str, test: Test, subjects: dict[str, _Value]) -> None:
        self.text = text
        self._test = test
        self._subjects = subjects
        self.attributes = frozenset(
            subject.removeprefix("attribute:") for subject in subjects if subject.startswith("attribute:")
        )
        self.reads_version = "agentVersion" in subjects
        self.varies = not subjects.keys().isdisjoint(
            ("ec2InstanceId", "registeredAt", "runningTasksCount", "task:group")
        )

    def matches(self, host: Host, running: int = 0, task_groups: Collection[str] = ()) -> bool:
        """Whether the host, with so many tasks and tasks of these groups, is selected."""
        return self._test(host, running, task_groups)

    def select(
        self, hosts: Sequence[Host], tasks: Callable[[Host], tuple[int, Collection[str]]]
    ) -> list[Host]:
        """The hosts that are selected. tasks: how many a host has, and their groups.

        Hosts that are alike share one mapping of attributes, and are asked once where nothing else is read.
        """
        test = self._test
        if self.varies or not self._subjects.keys() == {f"attribute:{name}" for name in self.attributes}:
            return [host for host in hosts if test(host, *tasks(host))]
        known: dict[int, bool] = {}
        selected = []
        for host in hosts:
            alike = id(host.attributes)
            answer = known.get(alike)
            if answer is None:
                answer = known[alike] = test(host, 0, ())
            if answer:
                selected.append(host)
        return selected

    def describe(self, host: Host, running: int = 0, task_groups: Collection[str] = ()) -> str:
        """What the host has where the query looks: 'attribute:stack is test, runningTasksCount is 2'."""
        seen = []
        for subject, value in self._subjects.items():
            found = value(host, running, task_groups)
            seen.append(f"{subject} is {found}" if found is not None else f"no {subject}")
        return ", ".join(seen)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


@lru_cache(maxsize=1024)
def parse_expression(text: str) -> Expression:
    """Compile a query; ExpressionError says where it is wrong."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(MAX_LENGTH, f"at most {MAX_LENGTH} characters", "the expression is too long")
    parser = _Parser(tokenize(text))
    test = parser.parse()
    return Expression(text, test, parser.subjects)


class _Parser:
    """Recursive descent: or < and < not < a comparison or a group in parentheses."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self.subjects: dict[str, _Value] = {}

    def parse(self) -> Test:
        test = self._or()
        token = self._peek()
        if token.kind != "end":
            raise ExpressionError(token.at, "and, or, or the end", f"unexpected '{token.text}'")
        return test

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _accept(self, symbol: str, word: str = "") -> bool:
        token = self._peek()
        if (token.kind == "op" and token.text == symbol) or (token.kind == "word" and token.text == word):
            self._next += 1
            return True
        return False

    def _or(self) -> Test:
        tests = [self._and()]
        while self._accept("||", "or"):
            tests.append(self._and())
        return reduce(_either, tests)

    def _and(self) -> Test:
        tests = [self._not()]
        while self._accept("&&", "and"):
            tests.append(self._not())
        return reduce(_both, tests)

    def _not(self) -> Test:
        negated = False
        while self._accept("!", "not"):
            negated = not negated
        test = self._primary()
        return _negation(test) if negated else test

    def _primary(self) -> Test:
        opening = self._peek()
        if not self._accept("("):
            return self._comparison()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ExpressionError(
                opening.at, f"at most {_MAX_DEPTH} nested parentheses", "the expression is nested too deeply"
            )
        test = self._or()
        closing = self._peek()
        if not self._accept(")"):
            raise ExpressionError(closing.at, "')', and or or", "a parenthesis is not closed")
        self._depth -= 1
        return test

    def _comparison(self) -> Test:
        token = self._take()
        if token.kind != "word":
            raise ExpressionError(token.at, f"a subject ({_SUBJECTS})", _found(token))
        subject = token.text
        operators, value = _subject(token)
        self.subjects[subject] = value
        where = self._peek()
        operator = self._operator(operators)
        positive = _NEGATED.get(operator, operator)
        test = self._test(subject, positive, value, where)
        return _negation(test) if operator in _NEGATED else test

    def _operator(self, allowed: tuple[str, ...]) -> str:
        token = self._take()
        names = ", ".join(allowed)
        operator = _SPELLINGS.get(token.text, "") if token.kind == "word" else token.text
        if token.kind == "string" or operator not in _SYMBOLS:
            raise ExpressionError(token.at, f"an operator ({names})", _found(token))
        if operator not in allowed:
            raise ExpressionError(
                token.at, f"one of {names}", f"'{token.text}' does not apply to this subject"
            )
        return operator

    def _test(self, subject: str, operator: str, value: _Value, where: Token) -> Test:
        if operator == "exists":
            return lambda host, running, groups: value(host, running, groups) is not None
        if operator == "in":
            return self._among(subject, value)
        token = self._literal()
        if operator == "=~":
            return _pattern_test(subject, value, token)
        if subject == "agentVersion":
            return _version_test(operator, _version_literal(token))
        if subject == "registeredAt":
            return _number_test(operator, _date_literal(token), lambda host, running: host.registered_at)
        if subject == "runningTasksCount":
            return _number_test(operator, _count_literal(token), lambda host, running: running)
        _check_connected(subject, token)
        return _equality(subject, value, frozenset((token.text,)))

    def _among(self, subject: str, value: _Value) -> Test:
        opening = self._take()
        if opening.kind != "op" or opening.text != "[":
            raise ExpressionError(opening.at, "a list such as [a, b]", _found(opening))
        literals = []
        while True:
            token = self._literal()
            _check_connected(subject, token)
            literals.append(token.text)
            if self._accept("]"):
                return _equality(subject, value, frozenset(literals))
            separator = self._peek()
            if not self._accept(","):
                raise ExpressionError(separator.at, "',' or ']'", _found(separator))

    def _literal(self) -> Token:
        token = self._take()
        if token.kind not in ("word", "string"):
            raise ExpressionError(token.at, "a value (in quotes if it has special characters)", _found(token))
        return token


def _found(token: Token) -> str:
    return "the expression ends" if token.kind == "end" else f"unexpected '{token.text}'"


def _either(one: Test, other: Test) -> Test:
    return lambda host, running, groups: one(host, running, groups) or other(host, running, groups)


def _both(one: Test, other: Test) -> Test:
    return lambda host, running, groups: one(host, running, groups) and other(host, running, groups)


def _negation(test: Test) -> Test:
    return lambda host, running, groups: not test(host, running, groups)


def _subject(token: Token) -> tuple[tuple[str, ...], _Value]:
    """The operators that a subject takes, and its value on a host as text (None: it has none)."""
    match token.text:
        case "task:group":
            return _TEXT_OPERATORS, lambda host, running, groups: ", ".join(sorted(groups)) or None
        case "agentConnected":
            return _TEXT_OPERATORS, lambda host, running, groups: "true" if host.connected else "false"
        case "ec2InstanceId":
            return _TEXT_OPERATORS, lambda host, running, groups: host.ec2_instance_id or None
        case "agentVersion":
            return _ORDER_OPERATORS, lambda host, running, groups: host.agent_version or None
        case "registeredAt":
            return _ORDER_OPERATORS, lambda host, running, groups: format_date(host.registered_at)
        case "runningTasksCount":
            return _ORDER_OPERATORS, lambda host, running, groups: str(running)
    name = token.text.removeprefix("attribute:")
    if name == token.text:
        raise ExpressionError(token.at, f"a subject ({_SUBJECTS})", f"unknown subject '{token.text}'")
    if not _ATTRIBUTE_NAME.fullmatch(name):
        raise ExpressionError(
            token.at + len("attribute:"),
            "an attribute name (letters, digits, - _ / \\ .)",
            f"'{name}' is not an attribute name",
        )
    return (*_TEXT_OPERATORS, "exists", "!exists"), lambda host, running, groups: host.attributes.get(name)


def _equality(subject: str, value: _Value, literals: frozenset[str]) -> Test:
    if subject == "task:group":
        return lambda host, running, groups: not literals.isdisjoint(groups)
    if subject.startswith("attribute:"):
        name = subject.removeprefix("attribute:")
        return lambda host, running, groups: host.attributes.get(name) in literals
    return lambda host, running, groups: value(host, running, groups) in literals


def _pattern_test(subject: str, value: _Value, token: Token) -> Test:
    try:
        pattern = Pattern(token.text)
    except PatternError as error:
        offset = token.at + error.position + (1 if token.kind == "string" else 0)
        raise ExpressionError(offset, error.expected, error.message) from error
    if subject == "task:group":
        return lambda host, running, groups: any(pattern.matches(group) for group in groups)


    @lru_cache(_MAX_VALUES)  # thousands of hosts have few values
    def matches(found: str | None) -> bool:
        return found is not None and pattern.matches(found)

    if subject.startswith("attribute:"):
        name = subject.removeprefix("attribute:")
        return lambda host, running, groups: matches(host.attributes.get(name))
    return lambda host, running, groups: matches(value(host, running, groups))


def _check_connected(subject: str, token: Token) -> None:
    if subject == "agentConnected" and token.text not in ("true", "false"):
        raise ExpressionError(token.at, "true or false", f"'{token.text}' is not a connection status")


def _version_literal(token: Token) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9}){0,9}", token.text, re.ASCII):
        raise ExpressionError(token.at, "a version such as 1.14.5", f"'{token.text}' is not a version")
    return _version(token.text) or ()


@lru_cache(_MAX_VALUES)
def _version(text: str) -> tuple[int, ...] | None:
    """The numbers of a version, without trailing zeros; None when it does not start with one."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", text, re.ASCII)
    if found is None:
        return None
    parts = [int(part) for part in found[1].split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def is_version(text: str) -> bool:
    """Whether an agent's version can be compared with another."""
    return _version(text) is not None


def _version_test(operator: str, literal: tuple[int, ...]) -> Test:
    compare = _COMPARE[operator]

    def test(host: Host, running: int, groups: Collection[str]) -> bool:
        version = _version(host.agent_version)
        return version is not None and compare((version > literal) - (version < literal))

    return test


def _date_literal(token: Token) -> float:
    seconds = parse_date(token.text)
    if seconds is None:
        raise ExpressionError(
            token.at, "a date such as 2018-06-18 or 2018-06-18T22:28:28Z", f"'{token.text}' is not a date"
        )
    return seconds


def _count_literal(token: Token) -> float:
    if not (token.text.isascii() and token.text.isdigit()):
        raise ExpressionError(token.at, "a number of tasks", f"'{token.text}' is not a number")
    return int(token.text)


def _number_test(operator: str, literal: float, value: Callable[[Host, int], float]) -> Test:
    compare = _COMPARE[operator]

    def test(host: Host, running: int, groups: Collection[str]) -> bool:
        found = value(host, running)
        return compare((found > literal) - (found < literal))

    return test


_COMPARE: Final[dict[str, Callable[[int], bool]]] = {
    "==": lambda order: order == 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
}
