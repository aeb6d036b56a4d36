"""The words of a query with their positions, so that an error can point at what is wrong."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class ExpressionError(ValueError):
    """A query that cannot be understood: where (offset in characters), and what was expected there."""

    def __init__(self, position: int, expected: str, message: str) -> None:
        super().__init__(f"{message} at position {position}: expected {expected}")
        self.position = position
        self.expected = expected
        self.message = message


class Token(NamedTuple):
    kind: str  # "word", "string", "op", "end"
    text: str
    at: int


_LEXEME: Final = re.compile(
    r"""\s*(?:
        (?P<op>==|!=|=~|!~|>=|<=|&&|\|\||!(?:in|exists)(?![^\s()\[\],'"=!<>&|])|[()\[\],<>!])
      | '(?P<single>[^']*)'
      | "(?P<double>[^"]*)"
      | (?P<word>(?:[^\s()\[\],'"=!<>&|]|\|(?!\|))+)
    )""",
    re.VERBOSE,
)

_PATTERN_OPERATORS: Final = ("=~", "!~", "matches", "not_matches")


def tokenize(text: str) -> list[Token]:
    """Split a query; a pattern without quotes is one token."""
    tokens = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        found = _LEXEME.match(text, at)
        if found is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            if text[at] in "'\"":
                raise ExpressionError(at, f"a closing {text[at]}", "a string is not closed")
            raise ExpressionError(at, "an operator", f"'{text[at]}' is not an operator")
        kind = found.lastgroup or ""
        start, value = found.start(kind), found[kind]
        if kind in ("single", "double"):
            tokens.append(Token("string", value, start - 1))
        else:
            tokens.append(Token(kind, value, start))
        at = found.end()
        if value in _PATTERN_OPERATORS and len(tokens) > 1 and tokens[-2].kind == "word":
            at += len(text[at:]) - len(text[at:].lstrip())
            until = _bare_pattern_end(text, at)
            if until > at:
                tokens.append(Token("word", text[at:until], at))
                at = until
    tokens.append(Token("end", "", len(text)))
    return tokens


def _bare_pattern_end(text: str, at: int) -> int:
    """Where a pattern without quotes ends: t[23]\\.(small|large) is one, in parentheses or not."""
    if text[at : at + 1] in ("'", '"'):
        return at
    groups = 0
    in_class = False
    while at < len(text) and not text[at].isspace():
        char = text[at]
        if char == "\\":
            at += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char == "(":
            groups += 1
        elif char == ")" and groups:
            groups -= 1
        elif char == ")" or (not groups and text[at : at + 2] in ("&&", "||")):
            break
        at += 1
    return min(at, len(text))
