"""The server's end of the proxy's link: who is let in, what is told and when, how probes are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from miniecs.config import Timing
from miniecs.model.cluster import Cluster
from miniecs.model.data_plane import Hello, Places, Probes, Told, read_table, write
from miniecs.model.load_balancing import HealthCheck, Listener, LoadBalancer, Target, TargetGroup
from miniecs.model.routing import ListenerPlace, Probe, RoutingTable
from miniecs.store import MemoryStore, StoreFull
from miniecs_api.data_plane import DataPlane, ProxyLink

from .servers import OWNER, Channel, ServerProcess, until

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123"
BALANCER = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/lb/0123"
LISTENER = BALANCER.replace("loadbalancer", "listener") + "/4567"
FORWARD = ({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP, "Weight": 1}]}},)
THING = TargetGroup(
    GROUP, "web", target_type="ip", health_check=HealthCheck(healthy_threshold=2, unhealthy_threshold=2)
)
ONE = Target(GROUP, "10.0.0.1", 80)
GOOD = Hello(OWNER, 7)


@dataclass
class Turns:
    """A loop whose turns a test takes."""

    time: float = 1000.0
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, fn: Callable[[], None]) -> None:
        assert when < self.time + 0.1
        self.waiting.append(fn)

    def turn(self) -> None:
        due, self.waiting = self.waiting, []
        for each in due:
            each()


class Peer:
    """A proxy at the other end of a link."""

    def __init__(self, plane: DataPlane) -> None:
        self.sent: list[RoutingTable] = []
        self.ends: list[str] = []
        self.link = ProxyLink(plane, lambda text: self.sent.append(read_table(text)), self.ends.append)

    def says(self, *told: Told) -> Peer:
        for each in told:
            self.link.receive(write(each))
        return self


class Bench:
    """A data plane on a store with one load balancer, its group and a target."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.turns = Turns()
        self.put(
            LoadBalancer(BALANCER, "lb", dns_name="lb.localhost"),
            Listener(LISTENER, BALANCER, 80, "HTTP", FORWARD, LISTENER + "/rule"),
            THING,
            ONE,
        )
        self.plane = DataPlane(self.store, self.turns, Timing(), OWNER)
        self.plane.start(self.turns)

    def put(self, *things: object) -> None:
        with self.store.transaction() as tx:
            for thing in things:
                tx.put(thing)

    def target(self, target: Target = ONE) -> Target:
        found = self.store.get(Target, target.key)
        assert found is not None
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench()


# Who is let in


def test_the_proxy_is_told_its_table_at_once(bench: Bench) -> None:
    assert not bench.plane.connected
    peer = Peer(bench.plane).says(GOOD)
    (table,) = peer.sent
    assert [each.arn for each in table.load_balancers] == [BALANCER]
    assert [(each.id, each.state) for each in table.groups[0].targets] == [("10.0.0.1", "initial")]
    assert bench.plane.connected and not peer.ends
    peer.link.closed()
    assert not bench.plane.connected


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ([write(Hello("ba9876543210"))], "it is not the proxy of this data folder"),
        ([write(Hello(""))], "it is not the proxy of this data folder"),
        ([write(Probes(()))], "the first message must be a hello"),
        ([write(GOOD), write(GOOD)], "a second hello"),
        (["nonsense"], "it is not JSON"),
        (
            [write(GOOD), '{"type": "miniecs.Weather", "message": {}}'],
            "there is no message 'miniecs.Weather'",
        ),
        ([write(GOOD), "[]"], "a message is an object with a type"),
        ([write(GOOD), '{"type": "miniecs.Probes", "message": {}}'], "miniecs.Probes: Field required"),
        (
            [write(GOOD), '{"type": "miniecs.Probes", "message": {"results": [{"target": 1}]}}'],
            "miniecs.Probes: Input should be a valid string",
        ),
        (
            [write(GOOD), '{"type": "miniecs.Traffic", "message": {"seconds": "x"}}'],
            "miniecs.Traffic: Input should be a valid number, unable to parse string as a number",
        ),
    ],
)
def test_who_is_hung_up_on(bench: Bench, texts: list[str], why: str) -> None:
    peer = Peer(bench.plane)
    for text in texts:
        peer.link.receive(text)
    assert peer.ends == [why]


def test_what_comes_after_the_end_is_not_heard(bench: Bench) -> None:
    good = Peer(bench.plane).says(GOOD)
    bad = Peer(bench.plane)
    bad.link.receive("nonsense")
    bad.says(GOOD, Places((ListenerPlace(LISTENER, 80),)))
    assert bad.ends == ["it is not JSON"] and not bad.sent
    assert not good.ends and bench.plane.place(LISTENER) is None


def test_a_second_proxy_takes_the_first_ones_place(bench: Bench) -> None:
    first = Peer(bench.plane).says(GOOD)
    second = Peer(bench.plane).says(GOOD)
    assert first.ends == ["another proxy has taken its place"]
    second.says(Places((ListenerPlace(LISTENER, 80, ("127.0.2.2:80",)),)))
    first.says(Places(()), Probes((Probe(ONE.key, 200),)))  # was on its way
    place = bench.plane.place(LISTENER)
    assert place is not None and place.addresses == ("127.0.2.2:80",)
    assert bench.target().state == "initial"
    first.link.closed()
    assert bench.plane.connected
    bench.put(replace(ONE, state="healthy"))
    bench.turns.turn()
    assert (len(first.sent), len(second.sent)) == (1, 2)


# Tables


def test_many_commits_in_one_turn_are_one_table(bench: Bench) -> None:
    peer = Peer(bench.plane).says(GOOD)
    for number in range(50):
        bench.put(Target(GROUP, f"10.0.1.{number}", 80))
    assert len(peer.sent) == 1
    bench.turns.turn()
    assert len(peer.sent) == 2 and len(peer.sent[1].groups[0].targets) == 51
    assert peer.sent[1].version == bench.store.seq > peer.sent[0].version
    assert not bench.turns.waiting


def test_commits_that_change_nothing_for_the_data_plane_send_nothing(bench: Bench) -> None:
    peer = Peer(bench.plane).says(GOOD)
    bench.put(Cluster("arn:aws:ecs:us-east-1:000000000000:cluster/mini", "mini"))
    bench.put(replace(ONE, successes=1, checked_at=5.0))
    assert not bench.turns.waiting
    bench.turns.turn()
    assert len(peer.sent) == 1


def test_without_a_proxy_nothing_is_made_and_the_next_one_gets_all(bench: Bench) -> None:
    bench.put(replace(ONE, state="healthy"))
    bench.turns.turn()
    peer = Peer(bench.plane).says(GOOD)
    assert peer.sent[0].groups[0].targets[0].state == "healthy"
    bench.put(replace(ONE, state="unhealthy"))
    peer.link.closed()
    bench.turns.turn()
    again = Peer(bench.plane).says(GOOD)
    assert (len(peer.sent), len(again.sent)) == (1, 1)
    assert again.sent[0].groups[0].targets[0].state == "unhealthy"


def test_a_wipe(bench: Bench) -> None:
    peer = Peer(bench.plane).says(GOOD, Places((ListenerPlace(LISTENER, 80),)))
    assert bench.plane.place(LISTENER) is not None
    bench.store.wipe()
    bench.plane.wiped()
    bench.turns.turn()
    assert peer.sent[-1] == RoutingTable(bench.store.seq)
    assert bench.plane.place(LISTENER) is None


def test_what_drained_without_the_proxy_drains_anew(bench: Bench) -> None:
    version = bench.store.seq
    leaving = replace(ONE, state="draining", draining_until=bench.turns.time + 1.0)
    bench.put(leaving)
    knows = Peer(bench.plane).says(replace(GOOD, serves=bench.store.seq))
    assert bench.target().draining_until == leaving.draining_until
    knows.link.closed()
    Peer(bench.plane).says(replace(GOOD, serves=version))
    until = bench.target().draining_until
    assert until is not None and until > bench.turns.time + 100


def test_before_the_start_nobody_is_let_in() -> None:
    bench = Bench()
    plane = DataPlane(bench.store, bench.turns, Timing(), OWNER)
    assert Peer(plane).says(GOOD).ends == ["the server is not ready"]


def test_after_the_stop_the_proxy_keeps_its_table(bench: Bench) -> None:
    peer = Peer(bench.plane).says(GOOD)
    bench.plane.stop()
    bench.plane.stop()
    bench.put(replace(ONE, state="healthy"))
    bench.turns.turn()
    assert len(peer.sent) == 1 and not peer.ends


# Probes


def probed(bench: Bench, *results: Probe) -> tuple[str, str | None, str | None]:
    Peer(bench.plane).says(GOOD, Probes(results))
    target = bench.target()
    return target.state, target.reason, target.description


MISMATCH = "Target.ResponseCodeMismatch"


@pytest.mark.parametrize(
    ("results", "after"),
    [
        ([(200, "")], ("healthy", None, None)),
        ([(503, "")], ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")),
        ([(503, "")] * 2, ("unhealthy", MISMATCH, "Health checks failed with these codes: [503]")),
        ([(503, ""), (404, "")], ("unhealthy", MISMATCH, "Health checks failed with these codes: [404]")),
        ([(None, "timeout")] * 2, ("unhealthy", "Target.Timeout", "Request timed out")),
        ([(None, "refused")] * 2, ("unhealthy", "Target.FailedHealthChecks", "Health checks failed")),
        ([(None, "reset")] * 2, ("unhealthy", "Target.FailedHealthChecks", "Health checks failed")),
        ([(None, "protocol")] * 2, ("unhealthy", "Target.FailedHealthChecks", "Health checks failed")),
        ([(None, "timeout")] * 2 + [(200, "")], ("unhealthy", "Target.Timeout", "Request timed out")),
        ([(None, "timeout")] * 2 + [(200, "")] * 2, ("healthy", None, None)),
    ],
)
def test_probes_are_judged(
    bench: Bench, results: list[tuple[int | None, str]], after: tuple[str, str | None, str | None]
) -> None:
    assert probed(bench, *(Probe(ONE.key, code, detail) for code, detail in results)) == after


@pytest.mark.parametrize(("detail", "state"), [("", "healthy"), ("refused", "initial"), ("reset", "initial")])
def test_a_tcp_check_passes_where_a_connection_is_made(bench: Bench, detail: str, state: str) -> None:
    check = replace(THING.health_check, protocol="TCP", path=None, matcher=None)
    bench.put(replace(THING, protocol="TCP", health_check=check))
    assert probed(bench, Probe(ONE.key, None, detail))[0] == state


def test_probes_of_what_is_gone_say_nothing(bench: Bench) -> None:
    orphan = Target("arn:gone", "10.0.0.9", 80)
    draining = replace(ONE, id="10.0.0.2", state="draining")
    bench.put(orphan, draining)
    peer = Peer(bench.plane).says(GOOD)
    seq = bench.store.seq
    keys = ("", "x|y|z", f"{GROUP}|gone|80", orphan.key, draining.key)
    peer.says(Probes(tuple(Probe(key, 200) for key in keys)))
    assert bench.store.seq == seq and not peer.ends
    with bench.store.transaction() as tx:
        tx.delete(TargetGroup, GROUP)
    peer.says(Probes((Probe(ONE.key, 200),)))
    assert not peer.ends and bench.target().state == "initial"


def test_probes_that_cannot_be_written_are_lost_and_the_link_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    peer = Peer(bench.plane).says(GOOD)

    def full() -> Any:
        raise StoreFull("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "transaction", full)
        peer.says(Probes((Probe(ONE.key, 200),)))
    assert "results of health checks are lost, the next ones come: the disk is full" in caplog.text
    peer.says(Probes((Probe(ONE.key, 200),)))
    assert not peer.ends and bench.target().state == "healthy"


# Over real sockets


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("server")).start()
    yield running
    running.close()
    assert "Traceback" not in running.log


def proxy(server: ServerProcess, owner: str = OWNER) -> Channel:
    channel = server.dial("/proxy")
    channel.send("miniecs.ProxyHello", owner=owner, pid=7)
    return channel


def elb(server: ServerProcess) -> Any:
    return boto3.client(
        "elbv2",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )


def balanced(server: ServerProcess, name: str) -> tuple[Any, str, str]:
    """(client, listener, target group) of a load balancer with one target, made just now."""
    aws = elb(server)
    group = aws.create_target_group(
        Name=name, Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType="ip", UnhealthyThresholdCount=2
    )["TargetGroups"][0]["TargetGroupArn"]
    balancer = aws.create_load_balancer(Name=name, Subnets=["subnet-a", "subnet-b"])["LoadBalancers"][0]
    listener = aws.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]["ListenerArn"]
    aws.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.1", "Port": 80}])
    return aws, listener, group


def health(aws: Any, group: str) -> dict[str, Any]:
    (described,) = aws.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    found: dict[str, Any] = described["TargetHealth"]
    return found


def test_another_folder_s_proxy_and_what_is_not_understood(server: ServerProcess) -> None:
    with proxy(server, "ba9876543210") as other:
        assert other.ended() == (1008, "it is not the proxy of this data folder")
    with server.dial("/proxy") as silent:
        silent.socket.send(b"\xff\xfe")
        assert silent.ended() == (1008, "it is not JSON")
    with proxy(server) as good:
        good.receive("miniecs.RoutingTable")
        good.send("miniecs.Probes", results=[{"target": "t", "code": "x" * 500}])
        code, reason = good.ended()
        assert code == 1008 and reason.startswith("miniecs.Probes: Input should be a valid integer")
        assert len(reason) <= 123
    with proxy(server) as first:
        first.receive("miniecs.RoutingTable")
        with proxy(server) as second:
            second.receive("miniecs.RoutingTable")
            assert first.ended() == (1008, "another proxy has taken its place")


def test_a_table_goes_out_and_probes_come_in(server: ServerProcess) -> None:
    with proxy(server) as channel:
        channel.receive("miniecs.RoutingTable")
        aws, listener, group = balanced(server, "probed")
        key = f"{group}|10.0.0.1|80"

        def told() -> Any:
            table = channel.receive("miniecs.RoutingTable")
            return next((each for each in table["groups"] if each["arn"] == group and each["targets"]), None)

        assert until("the target in a table", told)["targets"][0]["state"] == "initial"
        channel.send("miniecs.Probes", results=[{"target": key, "code": 200}])
        assert until("the healthy target", told)["targets"][0]["state"] == "healthy"
        assert health(aws, group) == {"State": "healthy"}
        channel.send("miniecs.Probes", results=[{"target": key, "code": None, "detail": "timeout"}] * 2)
        until("the unhealthy target", told)
        assert health(aws, group) == {
            "State": "unhealthy",
            "Reason": "Target.Timeout",
            "Description": "Request timed out",
        }
        aws.delete_listener(ListenerArn=listener)
        assert until("a table without it", lambda: not told())


def test_a_server_that_was_killed_has_a_whole_table_for_the_next_link(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "server").start()
    try:
        with proxy(server) as channel:
            aws, _, group = balanced(server, "killed")
            channel.send("miniecs.Probes", results=[{"target": f"{group}|10.0.0.1|80", "code": 200}])
            until("the target to be healthy", lambda: health(aws, group)["State"] == "healthy")
        server.close()
        server.start()
        with proxy(server) as channel:
            table = channel.receive("miniecs.RoutingTable")
        assert [each["name"] for each in table["load_balancers"]] == ["killed"]
        assert table["groups"][0]["targets"][0]["state"] == "healthy"
    finally:
        server.close()
