"""Which targets get requests, in words; and that they are those to which the proxy really sends."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from miniecs.control.explain_balancing import explain_load_balancer, explain_target_group
from miniecs.ids import Ids
from miniecs.model.load_balancing import HealthCheck
from miniecs.model.routing import NOWHERE, RoutedGroup, RoutedTarget
from miniecs.proxy.balance import Group

from .cases import BALANCER, GROUP_ARN, NOW, TIMING, FakeView, group, instance, listener, target, task

SICK = {
    "reason": "Target.ResponseCodeMismatch",
    "description": "Health checks failed with these codes: [503]",
}


def told(*things: object) -> list[str]:
    view = FakeView(BALANCER, instance(), *things)
    return list(explain_load_balancer(view, BALANCER, now=NOW, timing=TIMING.scaled(10)))


def test_a_load_balancer_with_targets_in_every_state() -> None:
    checked = group(health_check=HealthCheck(path="/healthz", interval=20, unhealthy_threshold=3))
    a, b, c, d = (task(name) for name in "abcd")
    assert told(
        checked,
        listener(),
        a,
        b,
        c,
        d,
        target(a, 1),
        target(b, 2, "unhealthy", failures=3, **SICK),
        target(c, 3, "draining", draining_until=NOW + 12),
        target(d, 4),
        target(d, 5, failures=1),
    ) == [
        "Load balancer lb (application) is active: lb.example.",
        "Load balancer lb sends requests to 3 of 4 targets in target group web; 1 drains.",
        "  Its health check is GET /healthz every 2 s: 3 failures in a row make a target unhealthy,"
        " 5 passes an unhealthy one healthy.",
        "  Target i-1:1 (task a, web:1) gets requests, it is healthy.",
        "  Target i-1:2 (task b, web:1) gets none, it is unhealthy: 503 from /healthz, 3 checks in a"
        " row failed.",
        "  Target i-1:3 (task c, web:1) gets none, it drains for 12 s more.",
        "  Target i-1:4 (task d, web:1) gets requests, it is healthy.",
        "  Target i-1:5 (task d, web:1) gets requests, it is healthy: 1 check failed; 3 make it unhealthy.",
    ]


def test_nothing_healthy_fails_open() -> None:
    a = task("a")
    assert told(group(), listener(), a, target(a, 1, "unhealthy", reason="Target.Timeout"))[1::2] == [
        "Load balancer lb sends requests to the only target in target group web, as none is healthy (it fails"
        " open).",
        "  Target i-1:1 (task a, web:1) gets requests, it is unhealthy: no answer in time to GET /,"
        " 2 checks in a row failed.",
    ]


def test_too_few_healthy_fail_open_too() -> None:
    few = group(
        attributes=(
            ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "60"),
        )
    )
    a, b = task("a"), task("b")
    assert told(few, listener(), a, b, target(a, 1), target(b, 2, "unhealthy"))[1] == (
        "Load balancer lb sends requests to all 2 targets in target group web, as only 1 is healthy"
        " (it fails open)."
    )


def test_where_no_target_can_take_requests() -> None:
    a = task("a")
    assert told(group(), listener())[1] == (
        "Load balancer lb answers 503 to requests for target group web, which has no targets."
    )
    assert told(group(), listener(), a, target(a, 1, "draining", draining_until=NOW + 9))[1] == (
        "Load balancer lb answers 503 to requests for target group web, which has only draining targets."
    )
    network = replace(BALANCER, type="network")
    view = FakeView(network, listener(), group())
    assert list(explain_load_balancer(view, network, now=NOW, timing=TIMING))[1] == (
        "Load balancer lb refuses connections to target group web, which has no targets."
    )
    assert told(group()) == [
        "Load balancer lb (application) is active: lb.example.",
        "It has no listener, so it takes no requests. `aws elbv2 create-listener` makes one.",
    ]


def test_a_target_group_that_nobody_uses_and_a_target_that_nobody_knows() -> None:
    unused = target(task("a"), 1, "unused")
    view = FakeView(group(), unused)
    assert list(explain_target_group(view, view.get(type(group()), GROUP_ARN), now=NOW, timing=TIMING)) == [  # type: ignore[arg-type]
        "No listener or rule forwards to target group web: its targets get no requests.",
        "  Its health check is GET / every 30 s: 2 failures in a row make a target unhealthy, 5 passes an"
        " unhealthy one healthy.",
        "  Target i-1:1 (task a) gets none, it is unused: no listener or rule forwards to target group web.",
    ]
    lost = FakeView(BALANCER, group(), listener(), target(task("a"), 1, "unhealthy"))
    assert list(explain_load_balancer(lost, BALANCER, now=NOW, timing=TIMING))[-1] == (
        "  Target i-1:1 (task a) gets none, it is unhealthy: nobody knows an address of i-1: it is"
        " no container instance here."
    )


states = st.sampled_from(["initial", "healthy", "unhealthy", "unused", "draining", "unavailable"])
routed_targets = st.lists(
    st.builds(
        RoutedTarget,
        id=st.sampled_from(["i-1", "i-2", "i-3"]),
        port=st.integers(1, 4),
        address=st.sampled_from(["10.0.0.1", NOWHERE]),
        state=states,
    ),
    unique_by=lambda each: (each.id, each.port),
    max_size=8,
)


@given(targets=routed_targets, count=st.integers(1, 4), percentage=st.integers(0, 100))
def test_those_that_are_said_to_get_requests_are_the_proxys(
    targets: list[RoutedTarget], count: int, percentage: int
) -> None:
    routed = RoutedGroup(
        "arn:g",
        "g",
        minimum_healthy_count=count,
        minimum_healthy_percentage=percentage,
        targets=tuple(targets),
    )
    assert [back_end.spec for back_end in Group(routed, Ids(seed=1)).usable] == list(routed.receiving)
