"""Asks the running server: miniecs's own pages, and a few ECS operations over the public AWS wire.

http.client, because the command line may not take longer to start than the answer takes: httpx needs half a
second to import, botocore more.
"""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from miniecs.cli import processes
from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import Problem

_TIMEOUT = 30.0
_RESTART_PATIENCE = 6.0  # a supervisor has its server back within five seconds
_STEP = 0.1


class NoAnswer(Problem):
    """The server is not there, or not yet."""


class AwsProblem(Problem):
    """An AWS error; ``code`` is its name, e.g. ClusterNotFoundException."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})" if message else code)
        self.code = code


class Caller(NamedTuple):
    """Whose state is meant. Nothing is signed: miniecs reads only the credential scope."""

    account: str
    region: str


class Client:
    """One server, by its endpoint. Every method raises NoAnswer, or Problem with the server's words."""

    def __init__(self, endpoint: str, timeout: float = _TIMEOUT) -> None:
        self.endpoint = endpoint
        self._timeout = timeout

    def get(self, page: str, **query: Any) -> dict[str, Any]:
        return self._own("GET", page, query)

    def post(self, page: str, body: dict[str, Any] | None = None, **query: Any) -> dict[str, Any]:
        return self._own("POST", page, query, body)

    def delete(self, page: str, **query: Any) -> dict[str, Any]:
        return self._own("DELETE", page, query)

    def ecs(self, caller: Caller, operation: str, **parameters: Any) -> dict[str, Any]:
        """An ECS operation in the JSON 1.1 protocol, as any SDK would send it. Raises AwsProblem."""
        scope = f"{caller.account}/20250101/{caller.region}/ecs/aws4_request"
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        status, answer = self._request("POST", "/", headers, json.dumps(parameters))
        if status != 200:
            code = str(answer.get("__type", status)).rpartition("#")[2]
            raise AwsProblem(code, str(answer.get("message", "")))
        return answer

    def _own(
        self, method: str, page: str, query: dict[str, Any], body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        given = {name: _query_value(value) for name, value in query.items() if value is not None}
        path = f"/_miniecs/{page}" + (f"?{urlencode(given)}" if given else "")
        headers = {} if body is None else {"Content-Type": "application/json"}
        status, answer = self._request(method, path, headers, None if body is None else json.dumps(body))
        if status >= 400:
            raise Problem(str(answer.get("message", f"The server answered {status} to {method} {path}.")))
        return answer

    def _request(
        self, method: str, path: str, headers: dict[str, str], body: str | None
    ) -> tuple[int, dict[str, Any]]:
        server = urlsplit(self.endpoint).netloc  # an IPv6 address in its brackets, and the port
        connection = http.client.HTTPConnection(server, timeout=self._timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"miniecs at {self.endpoint} does not answer: {error}.") from error
        except ValueError as error:
            raise Problem(f"What answers at {self.endpoint} is not miniecs.") from error
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise Problem(f"What answers at {self.endpoint} is not miniecs.")
        return response.status, answer


def connect(folder: DataFolder) -> Client:
    """The server of this folder; waits for one that is being restarted. Raises Problem when there is none."""
    for _ in range(int(_RESTART_PATIENCE / _STEP)):
        running = folder.server()
        if running is not None and running.endpoint is not None:
            return Client(running.endpoint)
        if running is None and folder.supervisor() is None:
            raise Problem(
                f"miniecs is not running on the data folder {folder.path}. `miniecs up --detach` starts it; "
                "--data-dir or MINIECS_DATA_DIR chooses another folder."
            )
        processes.pause(_STEP)
    raise NoAnswer(f"The server on {folder.path} is not ready. Its log is {folder.logs / 'server.log'}.")


def _query_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
