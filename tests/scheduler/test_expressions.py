"""The cluster query language: every subject and operator, in both spellings, and where errors point."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniecs_scheduler import Expression, ExpressionError, Host, Resources, parse_expression
from miniecs_scheduler.dates import format_date, parse_date

HOST = Host(
    id="arn:aws:ecs:us-east-1:000000000000:container-instance/default/0123",
    attributes={
        "ecs.availability-zone": "us-east-1a",
        "ecs.instance-type": "t2.small",
        "stack": "prod",
        "team": "blue and green",
        "ssd": "",
        "in": "exists",
    },
    capacity=Resources(1024, 2048),
    ec2_instance_id="i-abcd1234",
    agent_version="1.100.2",
    registered_at=1529360908.0,  # 2018-06-18T22:28:28Z
)
RUNNING = 3
GROUPS = ("service:production", "family:batch")


def matches(text: str) -> bool:
    return parse_expression(text).matches(HOST, RUNNING, GROUPS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # AWS's examples
        ("attribute:ecs.instance-type == t2.small", True),
        ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", True),
        ("attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d", False),
        ("task:group == service:production", True),
        ("not(task:group == database)", True),
        ("runningTasksCount == 1", False),
        ("agentVersion < 1.14.5", False),
        ("registeredAt < 2018-02-13", False),
        ("ec2InstanceId in ['i-abcd1234', 'i-wxyx7890']", True),
        # both spellings of every operator
        ("attribute:stack equals prod", True),
        ("attribute:stack != prod", False),
        ("attribute:stack not_equals test", True),
        ("attribute:stack in [test,prod]", True),
        ("attribute:stack in [test]", False),
        ("attribute:stack !in [test]", True),
        ("attribute:stack not_in [prod]", False),
        ("attribute:stack matches p.*", True),
        ("attribute:stack !~ p.*", False),
        ("attribute:stack not_matches x.*", True),
        ("attribute:stack exists", True),
        ("attribute:stack !exists", False),
        ("attribute:rack not_exists", True),
        ("runningTasksCount greater_than 2", True),
        ("runningTasksCount > 3", False),
        ("runningTasksCount greater_than_equal 3", True),
        ("runningTasksCount >= 4", False),
        ("runningTasksCount less_than 4", True),
        ("runningTasksCount less_than_equal 2", False),
        ("runningTasksCount <= 3", True),
        ("runningTasksCount != 3", False),
        # booleans: or < and < not
        ("attribute:stack == test && attribute:ssd exists || attribute:stack == prod", True),
        ("attribute:stack == prod or attribute:ssd exists and attribute:stack == test", True),
        ("(attribute:stack == prod or attribute:ssd exists) and attribute:stack == test", False),
        ("! attribute:stack == test", True),
        ("!(attribute:stack == prod)", False),
        ("not not attribute:stack == prod", True),
        ("not attribute:stack == test and attribute:stack == test", False),
        ("((((attribute:stack exists))))", True),
        # what a value may look like
        ("attribute:stack==prod", True),
        ("attribute:stack=='prod'", True),
        ('attribute:team == "blue and green"', True),
        ("attribute:ssd == ''", True),
        ("attribute:ssd exists", True),
        ("attribute:in == exists", True),
        ("attribute:in in [in, and, exists]", True),
        ("  attribute:stack\n==\tprod  ", True),
        # a host without the attribute: != , !in and !~ hold, as negations do
        ("attribute:rack == r1", False),
        ("attribute:rack != r1", True),
        ("attribute:rack in [r1]", False),
        ("attribute:rack !in [r1]", True),
        ("attribute:rack =~ .*", False),
        ("attribute:rack !~ .*", True),
        # patterns match the whole value, in quotes or not
        ("attribute:ecs.instance-type =~ t2", False),
        ("attribute:ecs.instance-type =~ t[23].*", True),
        ("(attribute:ecs.instance-type =~ (t2|m5)\\.(small|large))", True),
        ("attribute:ecs.instance-type =~ '(t2|m5)\\.(micro|large)'", False),
        ("attribute:ecs.instance-type !~ (t2|m5)\\.(small|large)", False),
        ("attribute:ecs.instance-type matches (t2|m5)\\.(small|large)", True),
        ("attribute:ecs.instance-type not_matches (t2|m5)\\.(micro|large)", True),
        ("attribute:ecs.instance-type =~ [t]2[.]small and attribute:stack exists", True),
        ("(attribute:ecs.instance-type =~ t2.* or attribute:ecs.instance-type =~ t3.*)", True),
        ("attribute:ecs.instance-type =~ m5.*||attribute:stack == prod", True),
        ("attribute:ecs.instance-type =~ m5.*|t2.*", True),
        ('attribute:team =~ "blue .* green"', True),
        ("attribute:stack =~ p.*&&attribute:ssd exists", True),
        ("(attribute:stack =~ [p]rod)", True),
        ("(attribute:stack !~ [a)]x)", True),
        ("(attribute:stack !~ p\\)rod)", True),
        # groups: any of the tasks on the host
        ("task:group in [service:a, family:batch]", True),
        ("task:group !in [service:a, family:batch]", False),
        ("task:group != service:production", False),
        ("task:group =~ service:.*", True),
        ("task:group !~ service:.*", False),
        # the agent
        ("agentConnected == true", True),
        ("agentConnected in [false]", False),
        ("agentConnected =~ tr.e", True),
        ("agentVersion > 1.99.9", True),
        ("agentVersion == 1.100.2", True),
        ("agentVersion == 1.100.2.0", True),
        ("agentVersion >= 1.100.10", False),
        ("agentVersion != 1.100.2", False),
        ("agentVersion < 2", True),
        ("ec2InstanceId =~ i-a.*", True),
        ("ec2InstanceId != i-abcd1234", False),
        # dates
        ("registeredAt == 2018-06-18T22:28:28+00:00", True),
        ("registeredAt == 2018-06-18T22:28:28Z", True),
        ("registeredAt == 2018-06-18T22:28:28", True),
        ("registeredAt == '2018-06-19T00:28:28+02:00'", True),
        ("registeredAt == 2018-06-18T20:28:28-02:00", True),
        ("registeredAt > 2018-06-18", True),
        ("registeredAt >= 2018-06-19", False),
    ],
)
def test_matches(text: str, expected: bool) -> None:
    assert matches(text) is expected


def test_a_host_of_which_nothing_is_said_has_no_tasks() -> None:
    assert parse_expression("runningTasksCount == 0 and task:group !~ .*").matches(HOST)
    assert parse_expression("runningTasksCount > 1").describe(HOST) == "runningTasksCount is 0"


def test_what_is_known_of_an_agent() -> None:
    lost = replace(HOST, connected=False, agent_version="")
    assert parse_expression("agentConnected == false").matches(lost)
    query = parse_expression("agentVersion > 1.0 and agentConnected == true")
    assert query.describe(HOST) == "agentVersion is 1.100.2, agentConnected is true"
    assert query.describe(lost) == "no agentVersion, agentConnected is false"


def test_an_agent_of_unknown_version_is_neither_older_nor_newer() -> None:
    host = Host("h", {}, Resources())
    outcomes = [parse_expression(f"agentVersion {op} 1.0").matches(host) for op in ("==", "<", ">=", "!=")]
    assert outcomes == [False, False, False, True]


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "the expression ends"),
        ("   ", 3, "the expression ends"),
        ("stack == prod", 0, "unknown subject 'stack'"),
        ("attribute: == prod", 10, "'' is not an attribute name"),
        ("attribute:a%b == prod", 10, "'a%b' is not an attribute name"),
        ("'attribute:stack' == prod", 0, "unexpected 'attribute:stack'"),
        ("=~ prod", 0, "unexpected '=~'"),
        ("matches prod", 0, "unknown subject 'matches'"),
        ("attribute:stack", 15, "the expression ends"),
        ("attribute:stack prod", 16, "unexpected 'prod'"),
        ("attribute:stack = prod", 16, "'=' is not an operator"),
        ("attribute:stack == ", 19, "the expression ends"),
        ("attribute:stack == prod test", 24, "unexpected 'test'"),
        ("attribute:stack == (prod)", 19, "unexpected '('"),
        ("attribute:stack > 3", 16, "'>' does not apply to this subject"),
        ("runningTasksCount in [1]", 18, "'in' does not apply to this subject"),
        ("runningTasksCount exists", 18, "'exists' does not apply to this subject"),
        ("runningTasksCount > many", 20, "'many' is not a number"),
        ("runningTasksCount > -1", 20, "'-1' is not a number"),
        ("agentVersion > new", 15, "'new' is not a version"),
        ("agentConnected == yes", 18, "'yes' is not a connection status"),
        ("agentConnected in [true, 1]", 25, "'1' is not a connection status"),
        ("registeredAt > yesterday", 15, "'yesterday' is not a date"),
        ("registeredAt > 2018-02-30", 15, "'2018-02-30' is not a date"),
        ("registeredAt > 2018-06-18T25:00:00Z", 15, "'2018-06-18T25:00:00Z' is not a date"),
        ("attribute:stack in prod", 19, "unexpected 'prod'"),
        ("attribute:stack in (a, b)", 19, "unexpected '('"),
        ("attribute:stack in '[' a]", 19, "unexpected '['"),
        ("attribute:stack in [", 20, "the expression ends"),
        ("attribute:stack in []", 20, "unexpected ']'"),
        ("attribute:stack in [a b]", 22, "unexpected 'b'"),
        ("attribute:stack in [a,]", 22, "unexpected ']'"),
        ("(attribute:stack exists", 23, "a parenthesis is not closed"),
        ("attribute:stack exists)", 22, "unexpected ')'"),
        ("attribute:stack exists and", 26, "the expression ends"),
        ("and attribute:stack exists", 0, "unknown subject 'and'"),
        ("attribute:stack == 'prod", 19, "a string is not closed"),
        ("attribute:stack == a & attribute:b exists", 21, "'&' is not an operator"),
        ("attribute:stack =~ '(a'", 22, "a group is not closed"),
        ("attribute:stack =~ a)", 20, "unexpected ')'"),
        ("attribute:stack =~ (a)\\1", 22, "backreferences are not supported"),
        ("attribute:stack =~ (?=a).*", 19, "lookaround, flags and named groups are not supported"),
        ("attribute:stack =~ a**", 21, "a quantifier follows a quantifier"),
        ("x" * 2001, 2000, "the expression is too long"),
        ("(" * 60 + "attribute:a exists" + ")" * 60, 50, "the expression is nested too deeply"),
    ],
)
def test_errors_say_where(text: str, position: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    error = caught.value
    assert (error.position, error.message) == (position, message)
    assert str(error) == f"{message} at position {position}: expected {error.expected}"
    assert error.expected


def test_two_thousand_characters_are_allowed() -> None:
    text = "not " * 494 + "attribute:stack  == test"
    assert len(text) == 2000
    assert matches(text) is False


def test_an_expression_says_what_it_reads() -> None:
    def reads(expression: Expression) -> tuple[set[str], bool, bool]:
        return set(expression.attributes), expression.reads_version, expression.varies

    assert reads(parse_expression("attribute:a == b and not attribute:c exists")) == (
        {"a", "c"},
        False,
        False,
    )
    assert reads(parse_expression("agentVersion > 1 and agentConnected == true")) == (set(), True, False)
    for subject in (
        "task:group == a",
        "runningTasksCount > 1",
        "ec2InstanceId == i",
        "registeredAt > 2018-01-01",
    ):
        assert reads(parse_expression(subject)) == (set(), False, True)


def test_describe_gives_what_the_host_has() -> None:
    text = "attribute:stack == a or attribute:rack exists or task:group == x or runningTasksCount > 9"
    assert parse_expression(text).describe(HOST, RUNNING, GROUPS) == (
        "attribute:stack is prod, no attribute:rack, task:group is family:batch, service:production, "
        "runningTasksCount is 3"
    )
    assert (
        parse_expression("registeredAt > 2020-01-01").describe(HOST) == "registeredAt is 2018-06-18T22:28:28Z"
    )


@given(st.integers(0, 4_000_000_000))
def test_dates_are_those_of_datetime(seconds: int) -> None:
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert format_date(seconds) == text
    assert parse_date(text) == seconds
    assert parse_date(text.replace("Z", ".25+05:30")) == seconds + 0.25 - 5.5 * 3600


_terms = st.sampled_from(
    ["attribute:stack == prod", "attribute:rack exists", "runningTasksCount > 1", "task:group =~ service:.*"]
)


@given(
    st.recursive(_terms, lambda inner: st.tuples(inner, st.sampled_from(["and", "or", "&&", "||"]), inner))
)
def test_nested_booleans_are_evaluated_as_python_does(tree: Any) -> None:
    def text(node: Any) -> str:
        return node if isinstance(node, str) else f"({text(node[0])} {node[1]} not {text(node[2])})"

    def value(node: Any) -> bool:
        if isinstance(node, str):
            return matches(node)
        left, operator, right = node
        both = (value(left), not value(right))
        return all(both) if operator in ("and", "&&") else any(both)

    assert matches(text(tree)) is value(tree)


@given(st.text(alphabet="attribue:sckgop=!~<>&|()[],'\" 123.*+?{}\\nx-", max_size=60))
def test_any_text_is_an_expression_or_an_error_with_a_position(text: str) -> None:
    try:
        parse_expression(text)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)


def test_every_symbol_and_word_is_in_the_table_above() -> None:
    """Keeps the table honest: an operator that is dropped from it is no longer tested."""
    table = str(test_matches.pytestmark[0].args[1])  # type: ignore[attr-defined]
    for operator in ("==", "!=", "=~", "!~", ">=", "<=", ">", "<", "&&", "||", "!in", "!exists"):
        assert operator in table
    for word in (
        "equals",
        "not_equals",
        "in",
        "not_in",
        "matches",
        "not_matches",
        "exists",
        "not_exists",
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "and",
        "or",
        "not",
    ):
        assert re.search(rf"[ (]{word}[ )']", table), word


WORDS = {
    "==": "equals",
    "!=": "not_equals",
    "in": "in",
    "!in": "not_in",
    "=~": "matches",
    "!~": "not_matches",
    ">": "greater_than",
    ">=": "greater_than_equal",
    "<": "less_than",
    "<=": "less_than_equal",
    "exists": "exists",
    "!exists": "not_exists",
}
TEXT, ORDER, BEING = (
    ("==", "!=", "in", "!in", "=~", "!~"),
    ("==", "!=", ">", ">=", "<", "<="),
    ("exists", "!exists"),
)
# subject: its operators, what HOST has, something else (for an order: less, more)
SUBJECTS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "attribute:stack": (TEXT + BEING, "prod", ("test",)),
    "task:group": (TEXT, "family:batch", ("family:other",)),
    "agentConnected": (TEXT, "true", ("false",)),
    "ec2InstanceId": (TEXT, "i-abcd1234", ("i-0",)),
    "agentVersion": (ORDER, "1.100.2", ("1.99.9", "1.100.10")),
    "registeredAt": (ORDER, "2018-06-18T22:28:28Z", ("2018-06-18T22:28:27Z", "2018-06-18T22:28:29Z")),
    "runningTasksCount": (ORDER, "3", ("2", "4")),
}


def outcomes(operator: str, same: str, others: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Arguments of an operator, and whether they hold of a host that has `same`."""
    match operator:
        case "exists" | "!exists":
            return [("", operator == "exists")]
        case "in" | "!in":
            return [(f"[{others[0]}, {same}]", operator == "in"), (f"[{others[0]}]", operator == "!in")]
        case "==" | "=~":
            return [(same, True), (others[0], False)]
        case "!=" | "!~":
            return [(same, False), (others[0], True)]
    less, more = others
    return [(less, ">" in operator), (same, "=" in operator), (more, "<" in operator)]


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("operator", WORDS)
def test_every_subject_with_every_operator_in_both_spellings(subject: str, operator: str) -> None:
    allowed, same, others = SUBJECTS[subject]
    for spelling in {operator, WORDS[operator]}:
        if operator not in allowed:
            with pytest.raises(ExpressionError) as caught:
                parse_expression(f"{subject} {spelling} {same}")
            error = caught.value
            assert (error.position, error.message) == (
                len(subject) + 1,
                f"'{spelling}' does not apply to this subject",
            )
            assert error.expected == f"one of {', '.join(allowed)}"
            continue
        for argument, holds in outcomes(operator, same, others):
            assert matches(f"{subject} {spelling} {argument}") is holds, (spelling, argument)


A_SUBJECT = (
    "a subject (attribute:NAME, task:group, agentConnected, agentVersion, ec2InstanceId, registeredAt "
    "or runningTasksCount)"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", A_SUBJECT),
        ("stack == prod", A_SUBJECT),
        ("attribute: exists", "an attribute name (letters, digits, - _ / \\ .)"),
        ("attribute:stack", "an operator (==, !=, in, !in, =~, !~, exists, !exists)"),
        ("attribute:stack 'in' [a]", "an operator (==, !=, in, !in, =~, !~, exists, !exists)"),
        ("attribute:stack == ", "a value (in quotes if it has special characters)"),
        ("attribute:stack in prod", "a list such as [a, b]"),
        ("attribute:stack in [a b]", "',' or ']'"),
        ("(attribute:stack exists", "')', and or or"),
        ("attribute:stack exists attribute:a exists", "and, or, or the end"),
        ("agentConnected == yes", "true or false"),
        ("agentVersion > new", "a version such as 1.14.5"),
        ("registeredAt > new", "a date such as 2018-06-18 or 2018-06-18T22:28:28Z"),
        ("runningTasksCount > many", "a number of tasks"),
        ("attribute:stack == 'prod", "a closing '"),
        ('attribute:stack == "prod', 'a closing "'),
        ("attribute:stack = prod", "an operator"),
        ("x" * 2001, "at most 2000 characters"),
        ("(" * 51, "at most 50 nested parentheses"),
        ("attribute:stack =~ (a", "')'"),
    ],
)  # fmt: skip
def test_errors_say_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert caught.value.expected == expected


def test_fifty_parentheses_are_allowed_one_after_another_any_number() -> None:
    assert matches("(" * 50 + "attribute:stack exists" + ")" * 50)
    assert matches(" and ".join(["(attribute:ssd exists)"] * 70))
    with pytest.raises(ExpressionError, match="nested too deeply"):
        parse_expression("(attribute:ssd exists) and " + "(" * 51 + "attribute:ssd exists" + ")" * 51)


def test_a_long_chain_is_answered() -> None:
    assert matches(" or ".join(["attribute:x exists"] * 85 + ["attribute:ssd exists"]))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-02T00:00:01Z", 86401),
        ("2000-02-29", 951782400),
        ("2000-02-29T23:59:59.5Z", 951868799.5),
        ("2024-02-29T12:00:00+01:00", 1709204400),
        ("1900-02-29", None),
        ("2100-02-29", None),
        ("2023-02-29", None),
        ("2024-02-30", None),
        ("2024-00-10", None),
        ("2024-13-10", None),
        ("2024-01-00", None),
        ("2024-01-32", None),
        ("2024-04-31", None),
        ("2024-06-31", None),
        ("2024-09-31", None),
        ("2024-11-31", None),
        ("2024-12-31", 1735603200),
        ("2024-01-01T24:00:00Z", None),
        ("2024-01-01T23:60:00Z", None),
        ("2024-01-01T23:59:60Z", None),
        ("2024-01-01T23:59:59+24:00", None),
        ("2024-01-01T23:59:59+00:60", None),
        ("2024-01-01T00:00:00-00:30", 1704069000),
        ("2024-01-01T23:59:59+23:59", 1704067200 - 1 + 60),
        ("2024-1-1", None),
        ("2024-01-01T00:00", None),
        ("24-01-01", None),
    ],
)
def test_dates(text: str, seconds: float | None) -> None:
    assert parse_date(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "attribute:stack == prod",
        "attribute:stack == prod and agentVersion > 1.0",
        "attribute:stack == prod and runningTasksCount > 1",
        "agentConnected == true",
        "not(task:group == a) or attribute:ssd exists",
    ],
)
def test_many_hosts_are_told_apart_as_one_by_one(text: str) -> None:
    shared = ({"stack": "prod"}, {"stack": "test", "ssd": ""})
    hosts = [
        Host(str(n), shared[n % 2], Resources(), connected=n % 3 > 0, agent_version=f"{n % 5}.1")
        for n in range(30)
    ]

    def tasks(host: Host) -> tuple[int, tuple[str, ...]]:
        return int(host.id) % 4, ("a", "b")[: int(host.id) % 3]

    expression = parse_expression(text)
    one_by_one = [host for host in hosts if expression.matches(host, *tasks(host))]
    assert expression.select(hosts, tasks) == one_by_one
    assert 0 < len(one_by_one) < len(hosts)
