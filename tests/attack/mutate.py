"""What is done to a good request to make it a bad one: to its values, and to its bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

_DEEP: Any = []
for _ in range(60):
    _DEEP = [_DEEP]

# In place of any value at all.
EVIL: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, 2**63, 10**30, -(10**30), 0.5,
    -0.0, 1e308, 1e-320, "", " ", "0", "-1", "NaN", "null", "None", "a" * 256, "a" * 5000, "\x00", "a\x00b",
    "\ud83d\ude00" * 20, "\u202e\u0000\uffff", "ſtraße İ", "١٢", "²", "1_000", "+5", " 5 ",
    "../../etc/passwd", "' OR 1=1 --", "<x>&amp;", "%s%n{0}${x}", "arn:", "arn:aws:ecs",
    "arn:aws:ecs:us-east-1:000000000000:", "arn:aws:ecs:::cluster/",
    "arn:aws:ecs:us-east-1:000000000000:cluster/default/x/y",
    "arn:aws:elasticloadbalancing:::loadbalancer/app/a/b", ":", "::", "a:b:c", "a:0", "a:-1",
    "a:99999999999999999999", "/", "a/b/c/d", "\n", "\r\nX: y", "(((((", "[a-", "(a+)+$", "not(" * 40,
    "attribute:" * 50, [], [[]], [None], {}, {"": {}}, {"a": 1}, [{}], ["a"] * 500, _DEEP,
    [1, "a", None, {}], "inf", "1e5", "0x10", "0/0", "300.1.1.1", "::1", "10.0.0.0/33", "*" * 130, "?" * 30,
)  # fmt: skip

Path = tuple[str | int, ...]


def _evil(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(EVIL))  # the next change may be to this one


def _places(value: Any, at: Path = ()) -> list[Path]:
    """Every place in the value where another one can stand."""
    found: list[Path] = [at] if at else []
    match value:
        case dict():
            for key, part in value.items():
                found.extend(_places(part, (*at, key)))
        case list():
            for index, part in enumerate(value):
                found.extend(_places(part, (*at, index)))
    return found


def _holder(value: Any, path: Path) -> Any:
    for step in path[:-1]:
        value = value[step]
    return value


def mutate(params: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """One to three changes to a request's values, in place: replaced, removed, doubled, added."""
    for _ in range(rng.randint(1, 3)):
        places = _places(params)
        if not places:
            params[rng.choice(["", "unknown", "cluster", "a.b", "é"])] = _evil(rng)
            continue
        path = rng.choice(places)
        holder: Any = _holder(params, path)
        last: Any = path[-1]
        match rng.randrange(8):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, list):
                holder.extend([copy.deepcopy(holder[last])] * rng.choice([1, 30, 200]))
            case 2 if isinstance(holder, dict):
                holder[rng.choice(["", "unknown", "__class__", "x" * 300])] = _evil(rng)
            case 3 if isinstance(holder[last], str) and holder[last]:
                text: str = holder[last]
                at = rng.randrange(len(text))
                put = rng.choice(["", "\x00", "é", ":", "/", "*", "A" * 300])
                holder[last] = text[:at] + put + text[at + 1 :]
            case 4 if isinstance(holder[last], (int, float)):
                number: float = holder[last]
                holder[last] = rng.choice([-number, number * 10**6, number + 0.5, str(number)])
            case _:
                holder[last] = _evil(rng)
    return params


def as_json(params: Any) -> bytes:
    return json.dumps(params).encode()


def as_form(params: dict[str, Any], operation: str, version: str) -> bytes:
    """The query protocol's flat form of any JSON value, also of one that no shape has."""
    fields: list[tuple[str, str]] = [("Action", operation), ("Version", version)]

    def add(name: str, value: Any) -> None:
        match value:
            case dict():
                for key, part in value.items():
                    add(f"{name}.{key}" if name else key, part)
            case list():
                if not value:
                    fields.append((name, ""))
                for number, part in enumerate(value, 1):
                    add(f"{name}.member.{number}", part)
            case bool():
                fields.append((name, "true" if value else "false"))
            case None:
                pass
            case _:
                fields.append((name, str(value)))

    add("", params)
    return urlencode(fields, errors="replace").encode()


Bytes = Callable[[bytes, random.Random], bytes]


def _cut(body: bytes, rng: random.Random) -> bytes:
    return body[: rng.randrange(len(body) + 1)]


def _flip(body: bytes, rng: random.Random) -> bytes:
    changed = bytearray(body or b"\x00")
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _double_keys(body: bytes, rng: random.Random) -> bytes:
    inner = body.strip()[1:-1]
    return (
        b"{" + inner + (b"," if inner else b"") + inner + b"}"
        if body.startswith(b"{")
        else body + b"&" + body
    )


_JUNK = (b"\xff\xfe", b"\x00", b'{"a":' * 300, b"[" * 300, b"\xed\xa0\x80", b"NaN", b"%", b"%zz", b"\\u12")


def _insert(body: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(body) + 1)
    return body[:at] + rng.choice(_JUNK) + body[at:]


def _replace(body: bytes, rng: random.Random) -> bytes:
    others = [b"", b"null", b"[]", b'""', b"1", b"{", b"<xml/>", b"&&&===", b" " * 5000]
    return rng.choice([*others, b"\xef\xbb\xbf" + body])


BYTES: tuple[Bytes, ...] = (_cut, _flip, _double_keys, _insert, _replace)

# Headers that the client did not mean; None takes the header away.
HEADERS: tuple[dict[str, str | None], ...] = (
    {"Content-Type": "text/plain"},
    {"Content-Type": None},
    {"Content-Type": "application/x-amz-json-1.0"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "application/cbor"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.Nothing"},
    {"X-Amz-Target": "Nobody.ListClusters"},
    {"X-Amz-Target": ""},
    {"X-Amz-Target": "...."},
    {"X-Amz-Target": "\xff" * 500},
    {"Authorization": None},
    {"Authorization": "AWS4-HMAC-SHA256 Credential=////"},
    {"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/ecs/aws4_request"},
    {"Authorization": "AWS4-HMAC-SHA256 Credential=1/2/US EAST/ecs/aws4_request"},
    {"Authorization": "Bearer x"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "br"},
    {"Accept-Encoding": "gzip, br"},
    {"Expect": "100-continue"},
)
