"""Real clients at the door: boto3, and the protocols that other SDKs choose."""

from __future__ import annotations

import gzip
import json
from typing import Any

import boto3
import cbor2
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from miniecs.model.scope import Scope
from miniecs.store import StoreFull
from miniecs_api.wire.errors import AwsError

from .conftest import Answer, Server

ECS = {
    "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.CreateCluster",
    "Content-Type": "application/x-amz-json-1.1",
}


def client(server: Server, service: str, key: str = "123456789012", region: str = "eu-west-1") -> Any:
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key="x",
        config=Config(retries={"max_attempts": 1}),
    )


def test_boto3_asks_and_is_answered_in_json(server: Server) -> None:
    server.asked.answer = Answer({"cluster": {"clusterName": "a", "status": None}}, ["use b"])
    reply = client(server, "ecs").create_cluster(clusterName="a", tags=[{"key": "k"}])
    assert reply["cluster"] == {"clusterName": "a"}
    headers = reply["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-miniecs-hint"] == "use b"
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert len(reply["ResponseMetadata"]["RequestId"]) == 36
    params = {"clusterName": "a", "tags": [{"key": "k"}]}
    assert server.asked.calls == [("ecs", "CreateCluster", params, Scope("123456789012", "eu-west-1"))]


def test_boto3_asks_and_is_answered_in_xml(server: Server) -> None:
    server.asked.answer = Answer({"LoadBalancers": [{"LoadBalancerName": "a & b", "CreatedTime": 1.5}]})
    reply = client(server, "elbv2", key="AKIAIOSFODNN7EXAMPLE").describe_load_balancers(Names=["a", "b"])
    assert [lb["LoadBalancerName"] for lb in reply["LoadBalancers"]] == ["a & b"]
    assert reply["LoadBalancers"][0]["CreatedTime"].timestamp() == 1.5
    scope = Scope("000000000000", "eu-west-1")
    assert server.asked.calls == [("elbv2", "DescribeLoadBalancers", {"Names": ["a", "b"]}, scope)]


def test_get_caller_identity_is_ours_and_the_rest_of_sts_is_not(server: Server) -> None:
    server.asked.answer = Answer({"Account": "123456789012", "Arn": "arn", "UserId": "u"})
    assert client(server, "sts").get_caller_identity()["Account"] == "123456789012"
    assert server.forwarded.requests == []
    with httpx.Client() as http:
        http.post(server.url, data={"Action": "GetSessionToken", "Version": "2011-06-15"})
    assert [(r[0], r[3]) for r in server.forwarded.requests] == [
        ("POST", b"Action=GetSessionToken&Version=2011-06-15")
    ]


def test_cloudwatch_is_spoken_to_in_three_protocols(server: Server) -> None:
    metric = [{"MetricName": "m", "Value": 1.0}]
    client(server, "cloudwatch").put_metric_data(Namespace="n", MetricData=metric)
    with httpx.Client(base_url=server.url) as http:
        target = "GraniteServiceVersion20100801.PutMetricData"
        http.post(
            "/",
            json={"Namespace": "n", "MetricData": metric},
            headers={"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"},
        ).raise_for_status()
        fields = {
            "Action": "PutMetricData",
            "Version": "2010-08-01",
            "Namespace": "n",
            "MetricData.member.1.MetricName": "m",
            "MetricData.member.1.Value": "1",
        }
        http.post("/", data=fields).raise_for_status()
        reply = http.post(
            "/service/GraniteServiceVersion20100801/operation/PutMetricData",
            content=cbor2.dumps({"Namespace": "n", "MetricData": metric}),
            headers={"Content-Type": "application/cbor", "Smithy-Protocol": "rpc-v2-cbor"},
        )
        assert reply.headers["smithy-protocol"] == "rpc-v2-cbor"
    asked = [(operation, params) for _, operation, params, _ in server.asked.calls]
    assert asked == [("PutMetricData", {"Namespace": "n", "MetricData": metric})] * 4


@pytest.mark.parametrize(
    ("service", "method", "args"),
    [
        ("ecs", "create_cluster", {}),
        ("elbv2", "describe_load_balancers", {}),
        ("cloudwatch", "describe_alarms", {}),
    ],
)
def test_an_operations_error_reaches_boto3(
    server: Server, service: str, method: str, args: dict[str, Any]
) -> None:
    server.asked.answer = AwsError("SomethingException", "It – failed.", hint="Because\nof 漢.")
    with pytest.raises(ClientError) as caught:
        getattr(client(server, service), method)(**args)
    error = caught.value.response
    assert (error["Error"]["Code"], error["Error"]["Message"]) == ("SomethingException", "It – failed.")
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["ResponseMetadata"]["HTTPHeaders"]["x-miniecs-hint"] == "Because of ?."


@pytest.mark.parametrize(
    ("service", "method", "args"),
    [
        ("ecs", "describe_clusters", {}),
        ("elbv2", "describe_ssl_policies", {}),
        ("cloudwatch", "list_metrics", {}),
        ("logs", "describe_log_groups", {}),
        ("events", "list_rules", {}),
        ("servicediscovery", "list_services", {}),
        ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "ecs"}),
        ("autoscaling", "describe_auto_scaling_groups", {}),
        ("cloudformation", "list_stacks", {}),
        ("batch", "describe_compute_environments", {}),
        ("lambda", "list_functions", {}),
    ],
)
def test_what_we_do_not_have_is_501_in_the_callers_form_and_never_anyone_elses(
    server: Server, service: str, method: str, args: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(client(server, service), method)(**args)
    error = caught.value.response
    assert (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]) == (501, "NotImplemented")
    assert f" of {service} is not " in error["Error"]["Message"]
    assert "docs/differences.md" in error["Error"]["Message"]
    assert server.asked.calls == [] and server.forwarded.requests == []


def test_other_services_go_to_the_rest_of_aws_as_they_came(server: Server) -> None:
    client(server, "s3").list_objects_v2(Bucket="my-bucket", Prefix="a b/ü")
    [(method, path, query, body, scope)] = server.forwarded.requests
    assert (method, path, body, scope) == ("GET", "/my-bucket", b"", Scope("123456789012", "eu-west-1"))
    assert "prefix=a%20b%2F%C3%BC" in query
    with httpx.Client(base_url=server.url, headers=signature("iam")) as http:
        http.post("/", data={"Action": "CreateUser"})
    assert server.forwarded.requests[1][3] == b"Action=CreateUser"


def test_their_reply_comes_back_with_its_own_headers_and_our_length(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        reply = http.put("/b/k", content=b"raw\xff", headers=signature("s3"))
    assert (reply.status_code, reply.content, reply.headers["x-theirs"]) == (200, b"<Theirs/>", "1")
    assert reply.headers.get_list("content-length") == ["9"]
    assert server.forwarded.requests[0][3] == b"raw\xff"


def signature(service: str, region: str = "eu-west-1") -> dict[str, str]:
    scope = f"AKIA/20260102/{region}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=ab"}


def test_a_service_that_nobody_has_is_501(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        reply = http.get("/", headers=signature("quantum"))
    assert (reply.status_code, reply.json()["__type"]) == (501, "NotImplemented")


def test_a_request_that_names_no_service_is_told_so(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        for reply in (http.get("/"), http.post("/", content=b"hello"), http.delete("/x")):
            assert (reply.status_code, reply.json()["__type"]) == (400, "MissingAuthenticationToken")
            assert "cannot tell which AWS service" in reply.json()["message"]


def test_a_bug_is_an_answer_and_the_connection_lives_on(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.asked.answer = ZeroDivisionError("oops")
    with httpx.Client(base_url=server.url, headers=ECS) as http:
        reply = http.post("/", json={})
        assert (reply.status_code, reply.json()["__type"]) == (500, "ServerException")
        assert reply.headers["x-amzn-requestid"] in reply.json()["message"]
        server.asked.answer = Answer({"unrenderable": object()})
        assert http.post("/", json={}).status_code == 500
        server.asked.answer = Answer({})
        assert http.post("/", json={}).status_code == 200
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert len(tracebacks) == 2 and "oops" in str(tracebacks[0].exc_info)


def test_a_store_that_cannot_write_says_what_is_wrong(server: Server) -> None:
    server.asked.answer = StoreFull("The disk of /data is full.")
    with httpx.Client(base_url=server.url, headers=ECS) as http:
        reply = http.post("/", json={})
    assert reply.status_code == 503
    assert reply.json() == {"__type": "ServerException", "message": "The disk of /data is full."}


def test_an_unknown_parameter_is_dropped_and_hinted_at(server: Server) -> None:
    with httpx.Client(base_url=server.url, headers=ECS) as http:
        reply = http.post("/", json={"clusterName": "a", "colour": "red"})
    assert reply.headers["x-miniecs-hint"] == "CreateCluster has no parameter 'colour': ignored"
    assert server.asked.calls[0][2] == {"clusterName": "a"}


def test_unknown_operations(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        fly = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.Fly"}
        reply = http.post("/", json={}, headers=ECS | fly)
        assert (reply.status_code, reply.json()["__type"]) == (400, "UnknownOperationException")
        reply = http.post("/", data={"Action": "Fly", "Version": "2015-12-01"})
        assert reply.status_code == 400 and "<Code>InvalidAction</Code>" in reply.text
        reply = http.post("/", data={"Version": "2015-12-01"})
        assert reply.status_code == 400 and "<Code>MissingAction</Code>" in reply.text
        # moto answers the rest of sts, but has no answer to these.
        reply = http.post("/", data={"Action": "Fly"}, headers=signature("sts"))
        assert reply.status_code == 400 and "<Code>InvalidAction</Code>" in reply.text
        reply = http.post("/", data={"Version": "2011-06-15"}, headers=signature("sts"))
        assert reply.status_code == 400 and "<Code>MissingAction</Code>" in reply.text
    assert server.asked.calls == []
    assert server.forwarded.requests == []


def test_content_types(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        for wrong in ("text/plain", "application/x-www-form-urlencoded", "application/cbor"):
            reply = http.post("/", content=b"{}", headers=ECS | {"Content-Type": wrong})
            assert (reply.status_code, reply.json()) == (
                400,
                {
                    "__type": "SerializationException",
                    "message": "ecs takes requests with Content-Type application/x-amz-json-1.0, "
                    f"application/x-amz-json-1.1, not {wrong}.",
                },
            )
        for right in ("application/json", "application/x-amz-json-1.0", "Application/X-Amz-Json-1.1; a=b"):
            assert http.post("/", content=b"{}", headers=ECS | {"Content-Type": right}).status_code == 200
    assert len(server.asked.calls) == 3


def test_a_region_is_a_name_and_nothing_else(server: Server) -> None:
    with httpx.Client(base_url=server.url, headers=ECS) as http:
        reply = http.post("/", json={}, headers=signature("ecs", region="us-east-1'"))
    assert (reply.status_code, reply.json()["__type"]) == (403, "InvalidSignatureException")


def test_gzip_is_unpacked_within_the_limit(server: Server) -> None:
    with httpx.Client(base_url=server.url, headers=ECS | {"Content-Encoding": "gzip"}) as http:
        packed = gzip.compress(json.dumps({"clusterName": "a"}).encode())
        assert http.post("/", content=packed).status_code == 200
        bomb = gzip.compress(b" " * (11 << 20))
        replies = [http.post("/", content=body) for body in (bomb, packed[:-9], b"plain")]
    assert [(r.status_code, r.json()["__type"]) for r in replies] == [
        (413, "RequestEntityTooLarge"),
        (400, "SerializationException"),
        (400, "SerializationException"),
    ]
    assert len(server.asked.calls) == 1


def test_health_reset_and_pages(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        assert http.get("/_miniecs/health").json() == server.admin.health()
        assert http.post("/_miniecs/reset").json() == {"status": "reset", "restored": False}
        assert http.post("/_miniecs/reset?restore=true").json() == {"status": "reset", "restored": True}
        assert server.admin.resets == [False, True]
        assert http.get("/_miniecs/reset").status_code == 405
        assert http.post("/_miniecs/reset?force=yes").status_code == 400
        assert http.get("/_miniecs/console").text == "a page"
    assert server.admin.resets == [False, True]
