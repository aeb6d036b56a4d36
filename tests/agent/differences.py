"""What our agent does otherwise than the ECS agent, on purpose: one table, each difference with its reason.

A difference is what is done to both sides' words before they are compared: nothing else can hide in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .recordings import RESTART, VERSIONS, Said

Body = dict[str, Any]
Rewrite = Callable[[list[Said]], list[Said]]


class Difference(NamedTuple):
    """``theirs`` and ``ours``: what is done to everything that was said, before it is compared."""

    recordings: tuple[str, ...]
    reason: str
    theirs: Rewrite | None = None
    ours: Rewrite | None = None


def without(*names: str) -> Rewrite:
    return lambda said: [s for s in said if s.name not in names]


def each(name: str, change: Callable[[Body], Body]) -> Rewrite:
    return lambda said: [s._replace(body=change(s.body)) if s.name == name else s for s in said]


def each_container(change: Callable[[Body], Body]) -> Rewrite:
    def changed(body: Body) -> Body:
        return (
            body | {"containers": [change(c) for c in body["containers"]]} if "containers" in body else body
        )

    return each("SubmitTaskStateChange", changed)


def less(*names: str) -> Callable[[Body], Body]:
    return lambda body: {name: value for name, value in body.items() if name not in names}


def without_later_attributes(body: Body) -> Body:
    later = ("ecs.cpu-architecture", "ecs.os-family", "ecs.os-type-detailed")
    return {**body, "attributes": [a for a in body["attributes"] if a["name"] not in later]}


def before_the_parsers_words(body: Body) -> Body:
    head, known, _ = body["reason"].partition("Could not unmarshal ContainerOverrides in any supported way")
    return {**body, "reason": head.removesuffix("Multiple error:\n\t0: ") + known}


def once(name: str) -> Rewrite:
    """Only the first of several in a row that say the same."""

    def collapsed(said: list[Said]) -> list[Said]:
        kept: list[Said] = []
        for s in said:
            last = next((k for k in reversed(kept) if k.name == name), None)
            if s.name != name or last is None or last.body != s.body:
                kept.append(s)
        return kept

    return collapsed


def only_ipv4(container: Body) -> Body:
    bindings = [b for b in container.get("networkBindings", ()) if b["bindIP"] != "::"]
    rest = less("networkBindings")(container)
    return rest | {"networkBindings": bindings} if bindings else rest


def without_exit_while_running(container: Body) -> Body:
    return less("exitCode")(container) if container["status"] == "RUNNING" else container


def without_dependency_words(container: Body) -> Body:
    failed = container.get("reason", "").startswith("CannotStartContainerError: dependency graph")
    return less("reason", "exitCode")(container) if failed else container


def without_empty_containers(body: Body) -> Body:
    return less("containers")(body) if body.get("containers") == [] else body


def without_repetition(said: list[Said]) -> list[Said]:
    kept: list[Said] = []
    for s in said:
        if s.name != SUBMIT or s.body not in [k.body for k in kept]:
            kept.append(s)
    return kept


def without_cluster(body: Body) -> Body:
    return {**body, "tasks": [less("clusterArn")(task) for task in body["tasks"]]}


def acknowledgements_first(said: list[Said]) -> list[Said]:
    """A message's acknowledgement before what else is answered to it."""
    answers = [s.body.get("messageId") for s in said]
    return sorted(said, key=lambda s: (answers.index(s.body.get("messageId")), s.name.startswith("TaskStop")))


def without_what_followed_the_verification(said: list[Said]) -> list[Said]:
    stopped = {
        candidate["taskArn"]
        for s in said
        if s.name == "TaskStopVerificationMessage"
        for candidate in s.body["stopCandidates"]
    }
    return [s for s in said if not (s.body.get("task") in stopped and s.body["status"] == "STOPPED")]


SUBMIT = "SubmitTaskStateChange"
ALL = (*VERSIONS, RESTART)
DELIBERATE = (
    Difference(
        ALL,
        "Every emulated instance is an EC2 instance and has its identity document; versions are said where "
        "the API has a place for them, at registration.",
        theirs=each("RegisterContainerInstance", less("instanceIdentityDocument")),
        ours=each("RegisterContainerInstance", less("instanceIdentityDocument", "versionInfo")),
    ),
    Difference(
        ALL,
        "Asked for by the task metadata endpoint, not by the agent's core.",
        theirs=without("ListTagsForResource"),
    ),
    Difference(
        ALL,
        "The ECS agent times pulls only of images that it does not find; we time the look for them as well.",
        theirs=each(SUBMIT, less("pullStartedAt", "pullStoppedAt")),
        ours=each(SUBMIT, less("pullStartedAt", "pullStoppedAt")),
    ),
    Difference(
        ALL,
        "What a JSON parser says of a text that is no JSON: Go's words there, Python's here.",
        theirs=each(SUBMIT, before_the_parsers_words),
        ours=each(SUBMIT, before_the_parsers_words),
    ),
    Difference(
        ALL,
        "Health is published when it changes as well, since deployments wait for it, and names the task's "
        "cluster, as the protocol allows; the ECS agent publishes all of it every 20 seconds.",
        theirs=once("PublishHealthRequest"),
        ours=lambda said: once("PublishHealthRequest")(each("PublishHealthRequest", without_cluster)(said)),
    ),
    Difference(
        ALL,
        "What was measured, and when, is the engine's matter: shapes are compared below.",
        theirs=without("PublishMetricsRequest", "PublishInstanceStatusRequest"),
        ours=without("PublishMetricsRequest", "PublishInstanceStatusRequest"),
    ),
    Difference(
        (RESTART,),
        "The recording's server parsed parameters by the public API's model, which lacks these two.",
        ours=lambda said: each("RegisterContainerInstance", less("clientToken"))(
            each("DiscoverPollEndpoint", less("zoneId"))(said)
        ),
    ),
    Difference(
        (RESTART,),
        "The ECS agent keeps a database of what it has reported; ours knows only what runs, and repeats it.",
        ours=without_repetition,
    ),
    Difference(
        ("1.48.1",),
        "Only the operating system's type was told, not its family nor the processor's architecture.",
        ours=each("RegisterContainerInstance", without_later_attributes),
    ),
    Difference(
        ("1.48.1",),
        "Heartbeats are acknowledged and a zone is named since a later version.",
        ours=lambda said: each("DiscoverPollEndpoint", less("zoneId"))(without("HeartbeatAckRequest")(said)),
    ),
    Difference(
        ("1.48.1",),
        "Acknowledgements name the cluster as it is configured; later ones as the message does.",
        theirs=each("AckRequest", less("cluster")),
        ours=each("AckRequest", less("cluster")),
    ),
    Difference(
        ("1.48.1",),
        "Acknowledgements come after the answer at times; later versions acknowledge first.",
        theirs=acknowledgements_first,
    ),
    Difference(
        ("1.48.1",),
        "Empty lists are sent; bindings are doubled for IPv6; a container is said to be running with the "
        "code that it exited with a moment later.",
        theirs=lambda said: each(SUBMIT, without_empty_containers)(
            each_container(lambda c: without_exit_while_running(only_ipv4(c)))(said)
        ),
    ),
    Difference(
        ("1.48.1",),
        "A container that a dependency kept from starting is STOPPED without a word; later with the reason.",
        ours=each_container(without_dependency_words),
    ),
    Difference(
        ("1.48.1",),
        "A task that it is told to stop by a verified manifest is given up at once: 'TaskStateError: Agent "
        "could not progress task's state to stopped'. Later versions stop it.",
        theirs=without_what_followed_the_verification,
        ours=without_what_followed_the_verification,
    ),
)
