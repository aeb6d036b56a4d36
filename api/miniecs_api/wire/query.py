"""The query protocol: form fields in, XML out.

``Tags.member.1.Key=a`` is a path through nested values, so a form becomes a tree first and is then read by
the same compiled readers as JSON, with scalars that come as text. The XML is written by shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from miniecs_api.wire.errors import AwsError, ErrorForm
from miniecs_api.wire.models import Operation, Service, Shape
from miniecs_api.wire.parse import MAX_DEPTH, Mismatch, Reader, Readers, base64_blob, mismatch, string, whole

Writer = Callable[[str, Any, list[str]], None]

_MAX_FIELDS = 100_000
# What is about the request and not of it: the signature in the query string, and what names the operation.
_OF_THE_REQUEST = frozenset(
    {"Action", "Version", "AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "Timestamp"}
)
_WHOLE = re.compile(r"[+-]?\d{1,25}")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def form(text: bytes) -> dict[str, str]:
    """The fields of a form or of a query string. Raises MalformedQueryString."""
    try:
        pairs = parse_qsl(
            text.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError as error:
        raise AwsError("MalformedQueryString", f"The query string is malformed: {error}") from None
    return dict(pairs)


def decode(fields: Mapping[str, str]) -> dict[str, Any]:
    """The tree that the fields' names spell. Raises MalformedQueryString where they are nested too deep."""
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _OF_THE_REQUEST or name.startswith("X-Amz-"):
            continue
        *path, last = name.split(".")
        # Two steps of a name, "member.1", are one level.
        if len(path) > 2 * MAX_DEPTH:
            raise AwsError("MalformedQueryString", f"A name is nested more than {MAX_DEPTH} levels deep")
        node = tree
        for step in path:
            branch = node.get(step)
            if branch.__class__ is not dict:
                branch = node[step] = {}
            node = branch
        node.setdefault(last, value)
    return tree


class QueryReaders(Readers):
    """Readers of a form's tree: lists are ``member.N``, maps are ``entry.N.key`` and ``entry.N.value``."""

    def list(self, shape: Shape) -> Reader:
        read = super().list(shape)
        return lambda node: read(_numbered(node, "member"))

    def map(self, shape: Shape) -> Reader:
        read = super().map(shape)

        def read_entries(node: Any) -> Any:
            entries = {}
            for entry in _numbered(node, "entry"):
                if entry.__class__ is not dict or entry.keys() != {"key", "value"}:
                    raise Mismatch("Each map entry needs a key and a value")
                entries[string(entry["key"])] = entry["value"]
            return read(entries)

        return read_entries


def _numbered(node: Any, step: str) -> list[Any]:
    """The values of N=1, 2, … in that order. A field that is there and empty is an empty list."""
    if node == "":
        return []
    if node.__class__ is not dict or node.keys() != {step} or node[step].__class__ is not dict:
        raise Mismatch(f"Expected {step}.1, {step}.2 and so on")
    items: dict[str, Any] = node[step]
    if not all(name.isascii() and name.isdigit() and len(name) < 10 for name in items):
        raise Mismatch(f"Expected a number after {step}.")
    return [items[name] for name in sorted(items, key=int)]


def _boolean(value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    raise mismatch(value, "Boolean")


def _whole(kind: str, java: str) -> Reader:
    read = whole(kind)

    def read_text(value: Any) -> int:
        if value.__class__ is str and _WHOLE.fullmatch(value):
            return read(int(value))  # type: ignore[no-any-return]
        raise mismatch(value, java)

    return read_text


def _decimal(value: Any) -> float:
    if value.__class__ is str:
        try:
            return float(value)
        except ValueError:
            pass
    raise mismatch(value, "Double")


def _timestamp(value: Any) -> float:
    if value.__class__ is str:
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            pass
    raise mismatch(value, "Timestamp")


SCALARS: Mapping[str, Reader] = {
    "string": string,
    "boolean": _boolean,
    "integer": _whole("integer", "Integer"),
    "long": _whole("long", "Long"),
    "float": _decimal,
    "double": _decimal,
    "timestamp": _timestamp,
    "blob": base64_blob,
}


def escape(text: str) -> str:
    """Text for XML 1.0, which has no form at all for most control characters: those become U+FFFD."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")
    return _NOT_IN_XML.sub("\ufffd", text)


class Writers:
    """The compiled XML writers of one service, each made once."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._made: dict[str, Writer] = {}

    def document(self, operation: Operation, result: dict[str, Any], request_id: str) -> bytes:
        name = operation.name
        out = [f'<{name}Response xmlns="{escape(self._service.namespace or "")}">']
        if operation.output is not None:
            self.writer(operation.output)(operation.result_wrapper or f"{name}Result", result, out)
        out.append(
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
        )
        return "".join(out).encode("utf-8")

    def writer(self, shape_name: str) -> Writer:
        if shape_name not in self._made:
            self._made[shape_name] = lambda tag, value, out: self._made[shape_name](tag, value, out)
            self._made[shape_name] = self._make(self._service.shape(shape_name))
        return self._made[shape_name]

    def _make(self, shape: Shape) -> Writer:
        match shape.type:
            case "structure":
                return self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
        text = _TEXTS.get(shape.type, str)

        def write(tag: str, value: Any, out: list[str]) -> None:
            out.append(f"<{tag}>{text(value)}</{tag}>")

        return write

    def _structure(self, shape: Shape) -> Writer:
        members = {name: self.writer(ref) for name, ref in shape.members.items()}

        def write(tag: str, value: Any, out: list[str]) -> None:
            out.append(f"<{tag}>")
            for name, item in value.items():
                if item is not None:
                    members[name](name, item, out)
            out.append(f"</{tag}>")

        return write

    def _list(self, shape: Shape) -> Writer:
        element = self.writer(shape.element)

        def write(tag: str, value: Any, out: list[str]) -> None:
            out.append(f"<{tag}>")
            for item in value:
                element("member", item, out)
            out.append(f"</{tag}>")

        return write

    def _map(self, shape: Shape) -> Writer:
        keys, values = self.writer(shape.key), self.writer(shape.value)

        def write(tag: str, value: Any, out: list[str]) -> None:
            out.append(f"<{tag}>")
            for key, item in value.items():
                out.append("<entry>")
                keys("key", key, out)
                values("value", item, out)
                out.append("</entry>")
            out.append(f"</{tag}>")

        return write


def _moment(value: float | datetime) -> str:
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _base64(value: bytes) -> str:
    import base64

    return base64.b64encode(value).decode("ascii")


_TEXTS: Mapping[str, Callable[[Any], str]] = {
    "string": escape,
    "boolean": lambda value: "true" if value else "false",
    "float": _number,
    "double": _number,
    "timestamp": _moment,
    "blob": _base64,
}


def error(form: ErrorForm, service: Service | None, request_id: str) -> bytes:
    """The error of the query protocol, whose extra fields stand beside Code and Message."""
    xmlns = f' xmlns="{escape(service.namespace)}"' if service and service.namespace else ""
    fields: list[str] = []
    if service is not None and form.fields:
        writers, members = Writers(service), service.shapes[form.shape].members
        for name, value in form.fields.items():
            writers.writer(members[name])(name, value, fields)
    return (
        f"<ErrorResponse{xmlns}><Error><Type>{form.type}</Type>{_code_and_message(form)}{''.join(fields)}"
        f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def ec2_error(form: ErrorForm, request_id: str) -> bytes:
    return (
        f"<Response><Errors><Error>{_code_and_message(form)}</Error></Errors>"
        f"<RequestID>{request_id}</RequestID></Response>"
    ).encode()


def rest_error(form: ErrorForm, request_id: str) -> bytes:
    """The error of S3, which Route 53's and CloudFront's parsers also read."""
    return f"<Error>{_code_and_message(form)}<RequestId>{request_id}</RequestId></Error>".encode()


def _code_and_message(form: ErrorForm) -> str:
    return f"<Code>{escape(form.query_code)}</Code><Message>{escape(form.message)}</Message>"
