"""The pages as a FastAPI app: paths, parameters and errors.

What they say is made by the modules beside it, which know no framework and so are tested without one.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from miniecs.model.instance import ContainerInstance
from miniecs.model.instance_types import UnknownInstanceType
from miniecs_api.app import ASGIApp
from miniecs_api.pages import (
    InstanceFailed,
    PagesServer,
    capacity,
    cluster,
    deployments,
    events,
    explain,
    hosts,
    instances,
    load_balancers,
    names,
    status,
    tasks,
    timeline,
)
from miniecs_api.wire.errors import AwsError

_MOST_EVENTS = 10_000


class NewInstance(BaseModel):
    """The body of POST /_miniecs/instances."""

    model_config = ConfigDict(extra="forbid")

    cluster: str = "default"
    type: str = "t3.medium"
    zone: str | None = None
    attributes: dict[str, str] = Field(default_factory=dict)


def make_app(server: PagesServer) -> ASGIApp:
    """All pages of one server, under their whole paths."""
    app = FastAPI(openapi_url=None)
    _add_pages(app, server)
    _add_errors(app)
    return app


def _add_pages(app: FastAPI, server: PagesServer) -> None:
    @app.get("/_miniecs/status")
    async def show_status() -> dict[str, Any]:
        return status.page(server)

    @app.get("/_miniecs/tasks")
    async def show_tasks(cluster: str | None = None, all: bool = False) -> dict[str, Any]:
        now = server.clock.now()
        shown = tasks.page(
            server.store, server.metrics, server.pulls, now, cluster=cluster, stopped=all
        )
        balancers = load_balancers.overview(server.store, server.data_plane)
        return {"runtime": server.settings.runtime, **shown, "loadBalancers": balancers}

    @app.get("/_miniecs/load-balancers")
    async def show_load_balancers(name: str | None = None) -> dict[str, Any]:
        shown = load_balancers.page(
            server.store, server.data_plane, now=server.clock.now(), timing=server.timing, name=name
        )
        return {"runtime": server.settings.runtime, **shown}

    @app.get("/_miniecs/deployments")
    async def show_deployments(service: str, cluster: str | None = None) -> dict[str, Any]:
        now = server.clock.now()
        return deployments.page(server.store, service, now=now, timing=server.timing, cluster=cluster)

    @app.get("/_miniecs/deployments/timeline")
    async def show_timeline(service: str, cluster: str | None = None) -> dict[str, Any]:
        now = server.clock.now()
        return timeline.page(server.store, service, now=now, timing=server.timing, cluster=cluster)

    @app.get("/_miniecs/cluster")
    async def show_cluster(
        name: str | None = None, definition: Annotated[list[str] | None, Query()] = None
    ) -> dict[str, Any]:
        named = name or server.settings.cluster
        return cluster.page(server.store, server.scope, named, definitions=definition or ())

    @app.get("/_miniecs/capacity")
    async def show_capacity(name: str | None = None) -> dict[str, Any]:
        return capacity.page(server.store, now=server.clock.now(), timing=server.timing, name=name)

    @app.get("/_miniecs/hosts")
    async def show_hosts() -> dict[str, Any]:
        return hosts.page(server.store, server.links)

    @app.get("/_miniecs/events")
    async def show_events(
        resource: str | None = None,
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=_MOST_EVENTS)] = 100,
    ) -> dict[str, Any]:
        return events.page(server.store, resource=resource, after=after, limit=limit)

    @app.get("/_miniecs/explain")
    async def show_explanation(name: str, cluster: str | None = None) -> dict[str, Any]:
        now = server.clock.now()
        return explain.page(
            server.store,
            name,
            pulls=server.pulls,
            plane=server.data_plane,
            runtime=server.settings.runtime,
            now=now,
            timing=server.timing,
            cluster=cluster,
        )

    @app.get("/_miniecs/instances")
    async def show_instances(name: str | None = None, cluster: str | None = None) -> dict[str, Any]:
        if name is None:
            return instances.page(server.store, cluster=cluster)
        return {"instances": [instances.render(server.store, _instance(name, cluster))]}

    def _instance(name: str, cluster: str | None) -> ContainerInstance:
        found = names.find(server.store, name, kinds=(ContainerInstance,), cluster=cluster)
        assert isinstance(found, ContainerInstance)
        if found.status == "INACTIVE":
            raise names.NotFound(f"Container instance {name} is not registered any more.")
        return found

    @app.post("/_miniecs/instances", status_code=201)
    async def add_instance(new: NewInstance) -> dict[str, Any]:
        wanted = instances.wanted(
            server.scope, cluster=new.cluster, type=new.type, zone=new.zone, attributes=new.attributes
        )
        arn = await server.add_instance(wanted)
        return _registered(arn)

    def _registered(arn: str) -> dict[str, Any]:
        instance = server.store.get(ContainerInstance, arn)
        return instances.render(server.store, instance) if instance is not None else {"arn": arn}

    @app.delete("/_miniecs/instances")
    async def remove_instance(name: str, cluster: str | None = None, force: bool = False) -> dict[str, Any]:
        found = _instance(name, cluster)
        instances.check_removal(server.store, found, force=force)
        await server.remove_instance(found.arn)
        return {"arn": found.arn, "removed": True}


def _add_errors(app: FastAPI) -> None:
    """Every error is {"message": …}, which says what to do; never FastAPI's own forms."""

    async def not_found(request: Request, error: Exception) -> JSONResponse:
        return _message(404, str(error))

    async def conflict(request: Request, error: Exception) -> JSONResponse:
        return _message(409, str(error))

    async def failed(request: Request, error: Exception) -> JSONResponse:
        return _message(503, str(error))

    async def bad(request: Request, error: Exception) -> JSONResponse:
        return _message(400, str(error))

    async def aws(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, AwsError)
        return _message(400, error.message)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _message(400, "; ".join(_invalid(problem) for problem in error.errors()) + ".")

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        path, method = request.url.path, request.method
        text = {
            404: f"There is no {path} in miniecs. There are /_miniecs/health, /_miniecs/reset, {_PATHS}.",
            405: f"{path} does not take {method}.",
        }.get(error.status_code, str(error.detail))
        return _message(error.status_code, text, error.headers)

    async def bug(request: Request, error: Exception) -> JSONResponse:
        # Starlette raises it again afterwards, for uvicorn to log.
        return _message(500, f"{request.url.path} failed: {error}. The server's log says more.")

    app.add_exception_handler(names.NotFound, not_found)
    app.add_exception_handler(names.Ambiguous, conflict)
    app.add_exception_handler(instances.Refused, conflict)
    app.add_exception_handler(InstanceFailed, failed)
    app.add_exception_handler(UnknownInstanceType, bad)
    app.add_exception_handler(AwsError, aws)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, bug)


_PAGES = (
    "status",
    "tasks",
    "events",
    "explain",
    "instances",
    "load-balancers",
    "deployments",
    "deployments/timeline",
    "hosts",
    "cluster",
    "capacity",
)
_PATHS = ", ".join(f"/_miniecs/{name}" for name in _PAGES)


def _invalid(problem: dict[str, Any]) -> str:
    """One of pydantic's findings, e.g. ``limit: Input should be less than or equal to 10000``."""
    where = ".".join(str(part) for part in problem["loc"] if part not in ("query", "body"))
    return f"{where or 'the body'}: {problem['msg']}"


def _message(status: int, text: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"message": text}, status, headers=headers)
