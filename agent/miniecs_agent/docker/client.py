"""A Docker engine: the docker package behind ``DockerApi``, and what removes a dead owner's leavings.

The only module that imports docker. It translates calls and errors and decides nothing: what is done when is
``docker_host``'s and ``docker_instance``'s, which can be tested without any engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import quote

import docker
import docker.errors
import docker.utils
import requests
import urllib3

from miniecs.clock import Clock, SystemClock
from miniecs_agent.docker import names
from miniecs_agent.docker.config import MIB, VolumeRequest
from miniecs_agent.docker.connection import READINGS_AT_ONCE
from miniecs_agent.docker.engine import CALLS_AT_ONCE, DockerHost
from miniecs_agent.docker.errors import CALL_TIMEOUT, Refused, TimedOut
from miniecs_agent.docker.events import EVENT_FILTER, timestamp
from miniecs_agent.docker.gateways import routes
from miniecs_agent.docker.networks import subnets_of
from miniecs_agent.docker.protocol import Json
from miniecs_agent.docker.wire import Events, Exec, Logs
from miniecs_agent.host_engine import EngineError, EngineFacts, EngineGone, Owner

DEFAULT_URL = "unix:///var/run/docker.sock"
OLDEST_API = (1, 32)
_PING_TIMEOUT = 10.0
_ONE_SHOT_API = (1, 41)  # from here on a reading of usage need not wait a second for another one
# Seconds between attempts at a network that is in use: a busy engine takes several to let go of an endpoint.
_PAUSES_OF_ENDPOINTS = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0)
_ARCHITECTURES = {"aarch64": "arm64", "amd64": "x86_64"}


class DockerEngine(DockerHost):
    """The engine at a URL (unix:///path, tcp://host:port), played as container instances."""

    def __init__(self, url: str = DEFAULT_URL, clock: Clock | None = None) -> None:
        super().__init__(DockerClient(url), clock or SystemClock())


class DockerClient:
    """``DockerApi`` by docker-py's low-level client. Its session is shared by all threads."""

    def __init__(self, url: str = DEFAULT_URL) -> None:
        self._url = url
        self._client: Any = None
        self._one_shot = False

    # The engine

    def connect(self) -> EngineFacts:
        try:
            with _translated(self._url):
                if self._client is None:
                    self._client = _client(self._url)
                version, info = self._client.version(), self._client.info()
                networks = subnets_of(self._client.networks())
        except Refused as refused:
            raise EngineError(refused.message) from refused
        api_version = str(version.get("ApiVersion", "0.0"))
        numbers = tuple(int(part) for part in api_version.split("."))
        if numbers < OLDEST_API:
            raise EngineError(
                f"the engine at {self._url} is too old: Docker {version.get('Version', '?')} speaks API "
                f"{api_version}, and 1.32 (Docker 17.09) is the oldest that miniecs can use"
            )
        self._one_shot = numbers >= _ONE_SHOT_API
        components = " ".join(str(each.get("Name")) for each in version.get("Components") or ())
        architecture = str(info.get("Architecture", ""))
        return EngineFacts(
            id=str(info.get("ID", "")),
            product="Podman" if "Podman" in components else "Docker",
            version=str(version.get("Version", "")),
            api_version=api_version,
            cpus=int(info.get("NCPU", 1)),
            memory=int(info.get("MemTotal", 0)) // MIB,
            architecture=_ARCHITECTURES.get(architecture, architecture),
            operating_system=str(info.get("OperatingSystem", "")),
            kernel=str(info.get("KernelVersion", "")),
            networks=tuple(sorted({str(network) for network in (*routes(), *networks)})),
        )

    def ping(self) -> None:
        with _translated(self._url):
            _checked(self._client.get(f"{self._client.base_url}/_ping", timeout=_PING_TIMEOUT)).close()

    def time(self) -> str:
        with _translated(self._url):
            return f"{timestamp(self._client.info().get('SystemTime')):.6f}"

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def events(self, since: str) -> Events:
        params = {"since": since, "filters": json.dumps(EVENT_FILTER)}
        with _translated(self._url):
            return Events(self._stream("get", "/events", params=params))

    # Images

    def inspect_image(self, image: str) -> Json:
        with _translated(self._url):
            found: Json = self._client.inspect_image(image)
            return found

    def pull(self, image: str) -> Iterator[Json]:
        with _translated(self._url):
            repository, tag = docker.utils.parse_repository_tag(image)
            yield from self._client.pull(repository, tag or "latest", stream=True, decode=True)

    def import_image(self, layer: bytes, reference: str, changes: Sequence[str]) -> None:
        repository, _, tag = reference.rpartition(":")
        with _translated(self._url):
            self._client.import_image_from_data(layer, repository, tag, list(changes))

    # Containers

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        with _translated(self._url):
            return str(self._client.create_container_from_config(body, name)["Id"])

    def start(self, runtime_id: str) -> None:
        with _translated(self._url):
            self._client.start(runtime_id)

    def kill(self, runtime_id: str, signal: str) -> None:
        with _translated(self._url):
            self._client.kill(runtime_id, signal)

    def remove(self, runtime_id: str) -> None:
        with _translated(self._url):
            self._client.remove_container(runtime_id, v=True, force=True)

    def inspect(self, runtime_id: str) -> Json:
        with _translated(self._url):
            found: Json = self._client.inspect_container(runtime_id)
            return found

    def containers(self, labels: Mapping[str, str | None]) -> Sequence[Json]:
        with _translated(self._url):
            found: list[Json] = self._client.containers(all=True, filters=names.label_filter(labels))
            return found

    def usage(self, runtime_id: str) -> Json:
        with _translated(self._url):
            found: Json = self._client.stats(
                runtime_id, stream=False, **({"one_shot": True} if self._one_shot else {})
            )
            return found

    # Volumes and networks

    def create_volume(self, request: VolumeRequest) -> None:
        with _translated(self._url):
            self._client.create_volume(request.name, request.driver, request.options, request.labels)

    def volumes(self, labels: Mapping[str, str | None]) -> Sequence[Json]:
        with _translated(self._url):
            return self._client.volumes(filters=names.label_filter(labels)).get("Volumes") or []

    def has_volume(self, name: str) -> bool:
        with _translated(self._url):
            try:
                self._client.inspect_volume(name)
            except docker.errors.NotFound:
                return False
            return True

    def remove_volume(self, name: str) -> None:
        with _translated(self._url):
            self._client.remove_volume(name)

    def networks(self, labels: Mapping[str, str | None] | None = None) -> Sequence[Json]:
        with _translated(self._url):
            filters = names.label_filter(labels) if labels is not None else None
            found: list[Json] = self._client.networks(filters=filters)
            return found

    def create_network(self, name: str, subnet: str, gateway: str, labels: Mapping[str, str]) -> None:
        pool = {"Subnet": subnet, "Gateway": gateway}
        with _translated(self._url):
            self._client.create_network(
                name,
                driver="bridge",
                ipam={"Driver": "default", "Config": [pool]},
                check_duplicate=True,
                labels=dict(labels),
            )

    def remove_network(self, network_id: str) -> None:
        """What somebody attached to it by hand is detached, and runs on.

        A container that the engine is just starting or removing holds an endpoint for a moment, too.
        """
        with _translated(self._url):
            for pause in _PAUSES_OF_ENDPOINTS:
                try:
                    self._client.remove_network(network_id)
                    return
                except docker.errors.APIError as refusal:
                    if "active endpoints" not in str(refusal.explanation):
                        raise
                self._detach_all(network_id)
                Event().wait(pause)
            self._client.remove_network(network_id)

    def _detach_all(self, network_id: str) -> None:
        """By name too: where the engine has kept an endpoint of no container, that is all it answers to."""
        for attached, endpoint in (self._client.inspect_network(network_id).get("Containers") or {}).items():
            for name in (attached, endpoint["Name"]):
                try:
                    self._client.disconnect_container_from_network(name, network_id, force=True)
                    break
                except docker.errors.NotFound:
                    continue

    # What people look at

    def logs(
        self, runtime_id: str, *, tty: bool, follow: bool, tail: int | None, timestamps: bool, since: int
    ) -> Logs:
        params = {
            "stdout": 1,
            "stderr": 1,
            "follow": int(follow),
            "tail": "all" if tail is None else str(tail),
            "timestamps": int(timestamps),
            "since": since,
        }
        with _translated(self._url):
            return Logs(self._stream("get", f"/containers/{quote(runtime_id)}/logs", params=params), tty)

    def execute(self, runtime_id: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Exec:
        with _translated(self._url):
            made = self._client.exec_create(runtime_id, list(command), stdin=stdin, tty=tty)
            exec_id = str(made["Id"])
            response = self._stream(
                "post",
                f"/exec/{exec_id}/start",
                json={"Tty": tty, "Detach": False},
                headers={"Connection": "Upgrade", "Upgrade": "tcp"},
            )
            return Exec(response, exec_id, tty)

    def resize(self, exec_id: str, rows: int, columns: int) -> None:
        with _translated(self._url):
            self._client.exec_resize(exec_id, height=rows, width=columns)

    def exec_result(self, exec_id: str) -> int | None:
        with _translated(self._url):
            found = self._client.exec_inspect(exec_id)
        return None if found.get("Running") else int(found.get("ExitCode") or 0)

    def _stream(self, method: str, path: str, **request: Any) -> requests.Response:
        """An answer without an end. docker-py's own readers mix the streams, or lose the first bytes."""
        client = self._client
        url = f"{client.base_url}/v{client.api_version}{path}"
        return _checked(client.request(method, url, stream=True, timeout=(CALL_TIMEOUT, None), **request))


# Errors


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """docker-py's exceptions, and those of what it is made of, as ours."""
    try:
        yield
    except docker.errors.APIError as error:
        raise Refused(error.status_code or 0, str(error.explanation or error)) from error
    except requests.exceptions.ReadTimeout as error:
        raise TimedOut(str(error)) from error
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise _gone(url, error) from error
    except docker.errors.DockerException as error:
        raise _gone(url, error) from error


def _checked(response: requests.Response) -> requests.Response:
    try:
        response.raise_for_status()
    except requests.exceptions.HTTPError as error:
        raise docker.errors.create_api_error_from_http_exception(error) from error
    return response


def _gone(url: str, error: Exception) -> EngineError:
    cause = _cause(error)
    if isinstance(cause, PermissionError):
        return EngineError(
            f"permission denied on {url}: the engine's socket is not yours to use. Add yourself to its group "
            "(`sudo usermod -aG docker $USER`) and log in again"
        )
    return EngineGone(
        f"Cannot connect to the Docker daemon at {url}. Is the docker daemon running? ({cause}) "
        "Start it (`sudo systemctl start docker`) or install it: https://docs.docker.com/engine/install"
    )


def _cause(error: BaseException) -> BaseException:
    """The system's own error within layers of others'; those are chained, or arguments of one another."""
    seen: list[BaseException] = [error]
    for each in seen:
        if isinstance(each, OSError) and each.errno is not None:
            return each
        inner = (*each.args, each.__cause__, each.__context__, getattr(each, "reason", None))
        seen += [other for other in inner if isinstance(other, BaseException) and other not in seen]
    return error


def _client(url: str) -> Any:
    settings: dict[str, Any] = {"base_url": url}
    from_environment = docker.utils.kwargs_from_env()  # DOCKER_HOST with its certificates
    if url.startswith("tcp://") and from_environment.get("tls"):
        settings = from_environment
    client = docker.APIClient(
        version="auto", timeout=CALL_TIMEOUT, max_pool_size=CALLS_AT_ONCE + READINGS_AT_ONCE, **settings
    )
    client.trust_env = False  # a proxy is not for engines, and looking it up costs each call
    return client


# Leavings


class Swept(NamedTuple):
    """How many of each were removed."""

    containers: int = 0
    volumes: int = 0
    networks: int = 0


def owners(url: str = DEFAULT_URL) -> list[Owner]:
    """Every owner that the engine has anything of. Blocks. Raises EngineError."""
    client = DockerClient(url)
    client.connect()
    try:
        return sorted({Owner(*key) for key in _leavings(client)})
    finally:
        client.close()


def sweep(url: str, keep: Callable[[str, str], bool], *, shared_volumes: bool = False) -> Swept:
    """Remove everything of the owners that ``keep(owner id, data dir)`` does not want.

    Blocks. Raises EngineError. Volumes of scope shared hold what users wanted to outlive their tasks: they
    stay unless asked for.
    """
    client = DockerClient(url)
    client.connect()
    swept = Swept()
    try:
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            for key, (containers, volumes, networks) in _leavings(client).items():
                if keep(*key):
                    continue
                if not shared_volumes:
                    volumes = [each for each in volumes if _labels(each).get(names.SCOPE) != "shared"]
                swept = Swept(
                    swept.containers + sum(pool.map(_removed(client.remove), _values(containers, "Id"))),
                    swept.volumes + sum(pool.map(_removed(client.remove_volume), _values(volumes, "Name"))),
                    swept.networks + sum(pool.map(_removed(client.remove_network), _values(networks, "Id"))),
                )
    except Refused as refused:
        raise EngineError(refused.message) from refused
    finally:
        client.close()
    return swept


_Found = tuple[list[Json], list[Json], list[Json]]


def _leavings(client: DockerClient) -> dict[tuple[str, str], _Found]:
    """Containers, volumes and networks by (owner id, data folder)."""
    found: dict[tuple[str, str], _Found] = {}
    ours = {names.OWNER: None}
    for kind, things in enumerate((client.containers(ours), client.volumes(ours), client.networks(ours))):
        for thing in things:
            labels = _labels(thing)
            key = (labels.get(names.OWNER, ""), labels.get(names.DATA_DIR, ""))
            found.setdefault(key, ([], [], []))[kind].append(thing)
    return found


def _labels(thing: Json) -> Mapping[str, str]:
    return thing.get("Labels") or {}


def _values(things: list[Json], name: str) -> list[str]:
    return [str(thing[name]) for thing in things]


def _removed(remove: Callable[[str], None]) -> Callable[[str], bool]:
    def one(name: str) -> bool:
        try:
            remove(name)
        except Refused as refused:
            if refused.status != 404:
                raise
            return False
        return True

    return one
