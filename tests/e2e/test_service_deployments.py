"""Releases through their statuses by every way that a user can take, with a kill -9 in the middle of each."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws_shapes import events, register, service, steady
from .conftest import StartServer
from .process import ServerProcess, until

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
BY_USER = "Service deployment rolled back because the user requested it."
BY_BREAKER = "Service deployment rolled back because the circuit breaker threshold was exceeded."
SUPERSEDED = "Service deployment stopped because a newer service deployment was created."


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    server = start_server(time_scale=20.0, instances=3)
    ecs = server.client("ecs")
    for family, image in (
        ("good", "busybox"),
        ("bad", "sim/start-fails"),
        ("slow", "sim/pull-takes-600"),
    ):
        register(ecs, family, image=image)
    return server


def create(ecs: Any, name: str, definition: str, **configuration: Any) -> None:
    ecs.create_service(
        serviceName=name,
        taskDefinition=definition,
        desiredCount=2,
        deploymentConfiguration=BREAKER | configuration,
    )


def listed(ecs: Any, name: str, **filters: Any) -> list[tuple[str, str | None]]:
    """(status, statusReason), the newest first."""
    found = ecs.list_service_deployments(service=name, **filters)["serviceDeployments"]
    return [(each["status"], each.get("statusReason")) for each in found]


def newest(ecs: Any, name: str) -> str:
    return str(ecs.list_service_deployments(service=name)["serviceDeployments"][0]["serviceDeploymentArn"])


def shown(ecs: Any, arn: str) -> dict[str, Any]:
    (found,) = ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    return dict(found)


def again(server: ServerProcess) -> None:
    server.kill()
    server.start()


def test_stopped_without_anything_to_return_to(server: ServerProcess, ecs: Any) -> None:
    create(ecs, "first", "slow")
    ecs.stop_service_deployment(serviceDeploymentArn=newest(ecs, "first"))
    again(server)
    ended = [("ROLLBACK_FAILED", "No rollback candidate was found to run the rollback.")]
    until("its end", lambda: listed(ecs, "first") == ended)
    with pytest.raises(ClientError, match="cannot be stopped because it is in the ROLLBACK_FAILED state"):
        ecs.stop_service_deployment(serviceDeploymentArn=newest(ecs, "first"))
    ecs.update_service(service="first", taskDefinition="good")
    until("a better one", lambda: steady(ecs, "first", 2))
    assert listed(ecs, "first") == [("SUCCESSFUL", None), *ended]


def test_stopped_by_the_user(server: ServerProcess, ecs: Any) -> None:
    create(ecs, "asked", "good")
    until("the first", lambda: steady(ecs, "asked", 2))
    completed = service(ecs, "asked")["deployments"][0]["id"]
    ecs.update_service(service="asked", taskDefinition="slow")
    again(server)
    arn = newest(ecs, "asked")
    until("its begin", lambda: shown(ecs, arn)["status"] == "IN_PROGRESS")
    ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    again(server)
    until("its end", lambda: listed(ecs, "asked")[0] == ("ROLLBACK_SUCCESSFUL", BY_USER))
    until("what was before", lambda: steady(ecs, "asked", 2))
    (back,) = service(ecs, "asked")["deployments"]
    assert (back["id"], back["rolloutState"]) == (completed, "COMPLETED")
    rollback = shown(ecs, arn)["rollback"]
    assert rollback["reason"] == BY_USER
    assert rollback["serviceRevisionArn"] == shown(ecs, arn)["sourceServiceRevisions"][0]["arn"]
    said = events(ecs, "asked")
    assert f"(service asked) rolling back to deployment {completed}." in said
    assert said[-1] == "(service asked) has reached a steady state."


def test_aborted_by_the_user(server: ServerProcess, ecs: Any) -> None:
    create(ecs, "aborted", "good")
    until("the first", lambda: steady(ecs, "aborted", 2))
    ecs.update_service(service="aborted", taskDefinition="slow")
    ecs.stop_service_deployment(serviceDeploymentArn=newest(ecs, "aborted"), stopType="ABORT")
    again(server)
    ended = ("STOPPED", "Service deployment stopped by the user.")
    until("its end", lambda: listed(ecs, "aborted")[0] == ended)
    states = [(each["status"], each["rolloutState"]) for each in service(ecs, "aborted")["deployments"]]
    assert states == [("PRIMARY", "FAILED"), ("ACTIVE", "COMPLETED")]
    assert service(ecs, "aborted")["runningCount"] == 2, "what was there before is kept"


def test_superseded(server: ServerProcess, ecs: Any) -> None:
    create(ecs, "passed", "good")
    until("the first", lambda: steady(ecs, "passed", 2))
    ecs.update_service(service="passed", taskDefinition="slow")
    ecs.update_service(service="passed", taskDefinition="good", forceNewDeployment=True)
    again(server)
    until("the newest", lambda: steady(ecs, "passed", 2))
    assert listed(ecs, "passed") == [("SUCCESSFUL", None), ("STOPPED", SUPERSEDED), ("SUCCESSFUL", None)]
    assert listed(ecs, "passed", status=["STOPPED"]) == [("STOPPED", SUPERSEDED)]


def test_an_update_in_the_middle_of_a_rollback(server: ServerProcess, ecs: Any) -> None:
    """Old tasks go first here, so that the rollback has to start them anew and can be met on its way."""
    create(ecs, "back", "good", minimumHealthyPercent=0, maximumPercent=100)
    until("the first", lambda: steady(ecs, "back", 2))
    ecs.update_service(service="back", taskDefinition="bad")
    arn = newest(ecs, "back")
    until("the rollback", lambda: shown(ecs, arn)["status"] == "ROLLBACK_IN_PROGRESS")
    monitored = shown(ecs, arn)["deploymentCircuitBreaker"]
    assert (monitored["status"], monitored["failureCount"], monitored["threshold"]) == ("TRIGGERED", 3, 3)
    ecs.update_service(service="back", taskDefinition="good", forceNewDeployment=True)
    again(server)
    assert shown(ecs, arn)["status"] == "ROLLBACK_FAILED"
    assert shown(ecs, arn)["statusReason"] == SUPERSEDED
    assert shown(ecs, arn)["rollback"]["reason"] == BY_BREAKER
    until("the newest", lambda: steady(ecs, "back", 2))
    assert [status for status, _ in listed(ecs, "back")] == ["SUCCESSFUL", "ROLLBACK_FAILED", "SUCCESSFUL"]


def test_a_deleted_service_takes_its_history_along(server: ServerProcess, ecs: Any) -> None:
    create(ecs, "gone", "slow")
    arn = newest(ecs, "gone")
    ecs.delete_service(service="gone", force=True)
    again(server)
    until("INACTIVE", lambda: service(ecs, "gone")["status"] == "INACTIVE")
    answer = ecs.describe_service_deployments(serviceDeploymentArns=[arn])
    assert answer["failures"] == [{"arn": arn, "reason": "MISSING"}]
    create(ecs, "gone", "good")
    until("another of the name", lambda: steady(ecs, "gone", 2))
    assert listed(ecs, "gone") == [("SUCCESSFUL", None)]
