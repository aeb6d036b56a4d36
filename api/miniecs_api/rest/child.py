"""The child process: moto's server with ids that repeat, a journal, and a door that only its parent opens.

Every call is seeded by its number, so that telling moto the journal's calls again gives the
same ids, and calls that only read need not be told again. Started as
``python -m miniecs_api.rest.child JOURNAL``; its first line of output says where it listens.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wrappers import Response

from miniecs_api.rest import child_networks

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

# moto's names of what the door keeps (miniecs_api.dispatch), should moto read a request unlike the door.
_NEVER = frozenset(
    {"applicationautoscaling", "autoscaling", "awslambda", "batch", "cloudformation", "cloudwatch", "ecs"}
    | {"events", "logs", "servicediscovery"}
)
_READS = re.compile(r"(Describe|List|Get|Head|BatchGet|Search|Lookup|Scan|Query|Simulate|Validate)[A-Z]")
_CHANGED = "x-miniecs-changed"
_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/")


class Remembering:
    """moto's application, one call at a time: seeded, journaled, refusing strangers."""

    def __init__(self, journal: Path, secret: str) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._journal = journal
        self._secret = secret
        self._one_at_a_time = threading.Lock()
        self._number = 0
        self._touched: set[tuple[str, str]] = set()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_X_MINIECS_SECRET") != self._secret:
            return Response("This server answers only to miniecs.", 403)(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._one_at_a_time:
            return self._answer(environ, body)(environ, start_response)

    def replay(self) -> tuple[int, list[str]]:
        """Tell moto the journal's calls again. How many there were, and which were refused this time."""
        entries, failed = 0, []
        if self._journal.exists():
            for place, line in enumerate(self._whole_lines(), 1):
                entries += 1
                try:
                    entry = json.loads(line)
                    number, environ, body = entry["number"], _environ(entry), base64.b64decode(entry["body"])
                    told, asked = entry["status"], f"{entry['method']} {entry['path']}"
                except (KeyError, TypeError, ValueError):
                    failed.append(f"line {place} of {self._journal} is damaged")
                    continue
                self._number = number
                answer = self._ask(environ, body)
                if answer.status_code != told:
                    failed.append(f"{asked}: {answer.status_code}")
                self._touched.add(_first_use(environ))
        return entries, failed

    def _whole_lines(self) -> list[str]:
        """The journal without a last line that was cut short by a kill; its call was never answered."""
        text = self._journal.read_text(errors="replace")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self._journal.write_text(whole)
        return whole.splitlines()

    def _answer(self, environ: Environ, body: bytes) -> Response:
        self._number += 1
        unknown = self._unknown(environ, body)
        if unknown:
            return Response(unknown, 501, {"x-miniecs-unknown": "1"})
        answer = self._ask(environ, body)
        first = _first_use(environ)
        if answer.status_code < 500 and (first not in self._touched or _changes(environ, body, answer)):
            # A service's first call in a region makes its defaults (a VPC, subnets), even one that reads.
            self._touched.add(first)
            self._remember(environ, body, answer.status_code)
        return answer

    def _unknown(self, environ: Environ, body: bytes) -> str | None:
        """Why nobody can answer, or None when moto has a backend for it."""
        if _asks_for_networks(environ):
            return None
        environ["wsgi.input"] = io.BytesIO(body)
        if environ.get("PATH_INFO", "").startswith("/moto-api"):
            return "miniecs does not serve moto's own pages: they would reset every account's state at once."
        host = self._moto.infer_service_region_host(environ, environ.get("PATH_INFO", ""))
        scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        backend = self._moto.get_backend_for_host(host)
        if backend in _NEVER:
            return f"moto's {backend} is not used: miniecs answers for it itself, or not at all."
        if host is None or backend is not None:
            return None
        name = scope.group(2) if scope else host
        return f"Neither miniecs nor moto has the service {name}. See docs/differences.md."

    def _ask(self, environ: Environ, body: bytes) -> Response:
        environ = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        if _asks_for_networks(environ):
            mock_random.seed(self._number)
            return _networks(environ, body)
        self._moto.get_application(environ)  # it draws numbers when it is made, perhaps for a read
        mock_random.seed(self._number)
        return Client(self._moto).open(environ)

    def _remember(self, environ: Environ, body: bytes, status: int) -> None:
        headers = [(k, v) for k, v in EnvironBuilder.from_environ(environ).headers if k != "X-Miniecs-Secret"]
        entry = {
            "number": self._number,
            "method": environ["REQUEST_METHOD"],
            "path": environ.get("PATH_INFO", "/"),
            "query": environ.get("QUERY_STRING", ""),
            "raw_uri": environ.get("RAW_URI", ""),
            "headers": headers,
            "body": base64.b64encode(body).decode(),
            "status": status,
        }
        with self._journal.open("a") as journal:
            journal.write(json.dumps(entry) + "\n")


def _asks_for_networks(environ: Environ) -> bool:
    """Only the parent can send this header; from clients it is not forwarded."""
    return environ.get("HTTP_X_MINIECS_ASKS") == "networks"


def _networks(environ: Environ, body: bytes) -> Response:
    """What was adopted is added; all networks of the account and region are the answer."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    region = scope.group(1) if scope else ""
    added, everything = child_networks.tell(environ["HTTP_X_MOTO_ACCOUNT_ID"], region, json.loads(body))
    return Response(json.dumps(everything), headers={_CHANGED: "1" if added else "0"})


def _environ(entry: dict[str, Any]) -> Environ:
    builder = EnvironBuilder(
        path=entry["path"], query_string=entry["query"], method=entry["method"], headers=entry["headers"]
    )
    return {**builder.get_environ(), "RAW_URI": entry["raw_uri"], "REQUEST_URI": entry["raw_uri"]}


def _first_use(environ: Environ) -> tuple[str, str]:
    """(service and region, account): moto makes defaults once for each."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return "/".join(scope.groups()) if scope else "", environ.get("HTTP_X_MOTO_ACCOUNT_ID", "")


def _changes(environ: Environ, body: bytes, answer: Response) -> bool:
    if _asks_for_networks(environ):
        return answer.headers.get(_CHANGED) == "1"
    return not _reads(environ, body)


def _reads(environ: Environ, body: bytes) -> bool:
    """Whether the call surely only reads; in doubt it is remembered, which costs a line."""
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return "Action=" not in environ.get("QUERY_STRING", "")
    operation = environ.get("HTTP_X_AMZ_TARGET", "").rsplit(".", 1)[-1]
    if not operation:
        action = re.search(rb"(?:^|&)Action=(\w+)", body[:65536])
        operation = action.group(1).decode() if action else ""
    return _READS.match(operation) is not None


class _Quiet(WSGIRequestHandler):
    """No line a request: the door has its own log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def _end_with_parent() -> None:
    """The parent holds our standard input open; when it ends, however it ends, so do we."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    child_networks.begin_with_our_ids()
    application = Remembering(Path(sys.argv[1]), os.environ.pop("MINIECS_REST_SECRET"))
    replayed, failed = application.replay()
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    print(json.dumps({"port": server.port, "replayed": replayed, "failed": failed}), flush=True)
    sys.stdout = sys.stderr  # moto prints; only the first line is ours to say
    server.serve_forever()


if __name__ == "__main__":
    main()
