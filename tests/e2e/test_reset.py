"""Everything gone at once, and what belongs to one account or region kept from the others."""

from __future__ import annotations

import urllib.error
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws_shapes import register, steady, task, tasks
from .conftest import StartServer
from .process import ServerProcess, until


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(time_scale=20.0, instances=2)


def fill(server: ServerProcess) -> list[str]:
    """Tasks and more in three scopes; the ARNs of those that run."""
    ecs, elb = server.client("ecs"), server.client("elbv2")
    register(ecs, "web")
    ecs.create_service(serviceName="shop", taskDefinition="web", desiredCount=3)
    ecs.run_task(taskDefinition="web", count=2)
    until("five tasks to run", lambda: _running(ecs) == 5)
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    elb.create_target_group(Name="blue", Protocol="HTTP", Port=80, VpcId="vpc-1")
    for other in (server.client("ecs", account="111122223333"), server.client("ecs", region="eu-west-1")):
        other.create_cluster(clusterName="elsewhere")
        register(other, "elsewhere")
    assert len(server.containers()) == 5
    return [each["taskArn"] for each in tasks(ecs)]


def _running(ecs: Any) -> int:
    return sum(each["lastStatus"] == "RUNNING" for each in tasks(ecs))


def remains(server: ServerProcess) -> list[str]:
    """ARNs of whatever can be listed in any of the scopes."""
    found: list[str] = []
    for account, region in (
        ("000000000000", "us-east-1"),
        ("111122223333", "us-east-1"),
        ("000000000000", "eu-west-1"),
    ):
        ecs = server.client("ecs", account=account, region=region)
        elb = server.client("elbv2", account=account, region=region)
        found += ecs.list_clusters()["clusterArns"]
        found += ecs.list_task_definitions()["taskDefinitionArns"]
        found += [each["name"] for each in ecs.list_account_settings()["settings"]]
        found += [each["TargetGroupArn"] for each in elb.describe_target_groups()["TargetGroups"]]
    return found


def test_reset_leaves_nothing(server: ServerProcess) -> None:
    fill(server)
    assert len(remains(server)) == 8
    assert server.request("POST", "/_miniecs/reset") == {"status": "reset", "restored": False}
    assert remains(server) == []
    assert server.containers() == []
    with pytest.raises(ClientError, match="Cluster not found."):
        server.client("ecs").list_tasks()
    server.restart()
    # A server that finds no cluster at its start makes that of `up`; of what was there nothing is back.
    assert remains(server) == ["arn:aws:ecs:us-east-1:000000000000:cluster/default"]
    assert server.containers() == []


def test_reset_and_restore(server: ServerProcess) -> None:
    arns = fill(server)
    ecs = server.client("ecs")
    before = set(ecs.list_container_instances()["containerInstanceArns"])
    assert server.request("POST", "/_miniecs/reset?restore=true") == {"status": "reset", "restored": True}
    assert remains(server) == ["arn:aws:ecs:us-east-1:000000000000:cluster/default"]
    assert server.containers() == []
    after = ecs.list_container_instances()["containerInstanceArns"]
    assert len(after) == 2 and not before & set(after)
    gone = ecs.describe_tasks(tasks=arns)
    assert (gone["tasks"], {f["reason"] for f in gone["failures"]}) == ([], {"MISSING"})
    # It works as at the first day, and no event or report of before comes up.
    assert register(ecs, "web").endswith(":1")
    ecs.create_service(serviceName="shop", taskDefinition="web", desiredCount=2)
    until("the new service", lambda: steady(ecs, "shop", 2))
    assert len(tasks(ecs)) == len(server.containers()) == 2
    server.restart()
    assert len(tasks(ecs)) == len(server.containers()) == 2
    (one, _) = tasks(ecs)
    ecs.stop_task(task=one["taskArn"])
    until("it to stop", lambda: task(ecs, one["taskArn"])["lastStatus"] == "STOPPED")
    assert "Traceback" not in server.log


def test_reset_takes_a_post(server: ServerProcess) -> None:
    with pytest.raises(urllib.error.HTTPError, match="405"):
        server.request("GET", "/_miniecs/reset")


def test_accounts_and_regions_are_apart(server: ServerProcess) -> None:
    """Twelve digits of an access key id are the account; the region is the signature's."""
    scopes = [("000000000000", "us-east-1"), ("444455556666", "us-east-1"), ("444455556666", "eu-west-1")]
    clients = [server.client("ecs", account=account, region=region) for account, region in scopes]
    for client, (account, region) in zip(clients, scopes, strict=True):
        made = client.create_cluster(clusterName="same")["cluster"]["clusterArn"]
        assert made == f"arn:aws:ecs:{region}:{account}:cluster/same"
        assert register(client, "same") == f"arn:aws:ecs:{region}:{account}:task-definition/same:1"
        identity = server.client("sts", account=account, region=region).get_caller_identity()
        assert identity["Account"] == account
    clients[1].create_service(cluster="same", serviceName="shop", taskDefinition="same", desiredCount=0)
    services = [client.list_services(cluster="same")["serviceArns"] for client in clients]
    assert services == [[], ["arn:aws:ecs:us-east-1:444455556666:service/same/shop"], []]
    assert clients[2].list_task_definitions()["taskDefinitionArns"] == [
        "arn:aws:ecs:eu-west-1:444455556666:task-definition/same:1"
    ]
    foreign = clients[2].describe_clusters(clusters=["arn:aws:ecs:us-east-1:444455556666:cluster/same"])
    assert [each["reason"] for each in foreign["failures"]] == ["MISSING"]
    clients[1].delete_service(cluster="same", service="shop", force=True)
    clients[1].delete_cluster(cluster="same")
    assert [len(client.list_clusters()["clusterArns"]) for client in clients] == [2, 0, 1]
    server.restart()
    assert [len(client.list_clusters()["clusterArns"]) for client in clients] == [2, 0, 1]
