"""The rest of AWS, by real moto in its real child process: apart by account, remembered over a kill."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from miniecs.ids import Ids
from miniecs.model.network import default_vpc_id
from miniecs.model.scope import Scope
from miniecs_api.rest import Moto
from miniecs_api.wire.errors import AwsError

pytestmark = pytest.mark.slow

ONE = Scope("111111111111", "us-east-1")
OTHER = Scope("222222222222", "us-east-1")


def run(journal: Path, story: Callable[[Moto], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        moto = Moto(journal, Ids(seed=1))
        try:
            await story(moto)
        finally:
            await moto.close()

    asyncio.run(main())


async def ec2(moto: Moto, action: str, scope: Scope = ONE, **params: str) -> str:
    body = "&".join(f"{k}={v}" for k, v in {"Action": action, "Version": "2016-11-15", **params}.items())
    return await signed(moto, "ec2", scope, body=body.encode())


async def signed(
    moto: Moto, service: str, scope: Scope, *, method: str = "POST", path: str = "/", body: bytes = b""
) -> str:
    signed_for = f"key/20260101/{scope.region}/{service}/aws4_request"
    headers = [
        (b"host", b"localhost"),
        (b"authorization", f"AWS4-HMAC-SHA256 Credential={signed_for}, Signature=x".encode()),
    ]
    if service == "ec2":
        headers.append((b"content-type", b"application/x-www-form-urlencoded"))
    status, _, answer = await moto.forward(method, path, "", headers, body, scope)
    assert status == 200, answer
    return answer.decode()


def vpcs(text: str) -> list[str]:
    return re.findall(r"<vpcId>(vpc-[0-9a-f]+)</vpcId>", text)


def test_resources_survive_the_child_and_keep_their_ids(tmp_path: Path) -> None:
    seen: dict[str, list[str]] = {}

    async def first(moto: Moto) -> None:
        await ec2(moto, "CreateVpc", CidrBlock="10.9.0.0/16")
        await signed(moto, "s3", ONE, method="PUT", path="/bucket")
        await signed(moto, "s3", ONE, method="PUT", path="/bucket/a%2Fb", body=b"kept")
        seen["vpcs"] = vpcs(await ec2(moto, "DescribeVpcs"))

    async def second(moto: Moto) -> None:
        assert vpcs(await ec2(moto, "DescribeVpcs")) == seen["vpcs"]
        assert await signed(moto, "s3", ONE, method="GET", path="/bucket/a%2Fb") == "kept"

    journal = tmp_path / "rest.jsonl"
    run(journal, first)
    assert len(seen["vpcs"]) == 2  # the default VPC and ours
    journal.write_text(journal.read_text() + '{"number": 99, "cut sho')
    run(journal, second)


def test_ids_do_not_depend_on_calls_that_only_read(tmp_path: Path) -> None:
    """moto sets a service up at its first call, and draws numbers for that."""
    seen: dict[str, list[str]] = {}

    async def first(moto: Moto) -> None:
        nothing: dict[str, Any] = {"subnets": [], "groups": []}
        await moto.tell_networks(ONE, nothing)
        await ec2(moto, "DescribeSubnets")
        await ec2(moto, "CreateVpc", CidrBlock="10.9.0.0/16")
        seen["vpcs"] = vpcs(await ec2(moto, "DescribeVpcs"))

    async def second(moto: Moto) -> None:
        assert vpcs(await ec2(moto, "DescribeVpcs")) == seen["vpcs"]

    run(tmp_path / "rest.jsonl", first)
    run(tmp_path / "rest.jsonl", second)


def test_what_was_adopted_is_told_once_and_remembered(tmp_path: Path) -> None:
    vpc = default_vpc_id(ONE)
    adopted = {
        "subnets": [{"id": "subnet-1", "vpc": vpc, "zone": "us-east-1z"}],
        "groups": [{"id": "sg-1", "vpc": vpc}],
    }
    journal = tmp_path / "rest.jsonl"

    async def first(moto: Moto) -> None:
        everything = await moto.tell_networks(ONE, adopted)
        assert everything["vpcs"] == [{"id": vpc}]
        assert {"id": "subnet-1", "vpc": vpc, "zone": "us-east-1z"} in everything["subnets"]
        lines = journal.read_text()
        assert await moto.tell_networks(ONE, adopted) == everything
        assert journal.read_text() == lines
        await ec2(moto, "DeleteSubnet", SubnetId="subnet-1")

    async def second(moto: Moto) -> None:
        everything = await moto.tell_networks(ONE, {"subnets": [], "groups": []})
        assert "subnet-1" not in [subnet["id"] for subnet in everything["subnets"]]
        assert {"id": "sg-1", "vpc": vpc, "name": "sg-1"} in everything["groups"]

    run(journal, first)
    run(journal, second)


def test_accounts_do_not_see_each_other(tmp_path: Path) -> None:
    async def story(moto: Moto) -> None:
        await ec2(moto, "CreateVpc", ONE, CidrBlock="10.9.0.0/16")
        mine = vpcs(await ec2(moto, "DescribeVpcs", ONE))
        theirs = vpcs(await ec2(moto, "DescribeVpcs", OTHER))
        assert (len(mine), len(theirs)) == (2, 1)
        assert not set(mine) & set(theirs)

    run(tmp_path / "rest.jsonl", story)


def test_a_killed_child_is_started_again_and_a_reset_forgets(tmp_path: Path) -> None:
    async def story(moto: Moto) -> None:
        await ec2(moto, "CreateVpc", CidrBlock="10.9.0.0/16")
        before = vpcs(await ec2(moto, "DescribeVpcs"))
        process = moto._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        assert vpcs(await ec2(moto, "DescribeVpcs")) == before
        await moto.reset()
        assert len(vpcs(await ec2(moto, "DescribeVpcs"))) == 1

    run(tmp_path / "rest.jsonl", story)


def test_what_neither_has_is_said(tmp_path: Path) -> None:
    async def story(moto: Moto) -> None:
        with pytest.raises(AwsError) as refused:
            await signed(moto, "qbusiness", ONE, method="GET", path="/applications")
        assert refused.value.code == "NotImplemented"
        assert refused.value.status == 501

    run(tmp_path / "rest.jsonl", story)

