"""What is stored comes back equal, whatever kind it is; what is not understood is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miniecs.model.cluster import Cluster
from miniecs.model.event import Event
from miniecs.model.kinds import KINDS, Kind
from miniecs.model.task import Container, NetworkBinding, Task, TaskStatus
from miniecs.model.task_definition import TaskDefinition
from miniecs.store.codec import Codec

from .generated import instances
from .samples import DEFAULT, cluster, message, task

CODEC = Codec()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_every_kind_comes_back_as_it_was(kind: Kind, data: st.DataObject) -> None:
    thing = data.draw(instances(kind.type))
    again = CODEC.decode(kind.name, CODEC.encode(thing), {})
    assert again == thing
    assert type(again) is type(thing)
    assert CODEC.encode(again) == CODEC.encode(thing)


@given(event=instances(Event))
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_every_event_comes_back_as_it_was(event: Event) -> None:
    again = CODEC.decode_event(event.seq, CODEC.encode_event(event, {}), {})
    assert again == event
    assert type(again.kind) is type(event.kind)


def test_a_task_takes_little_room() -> None:
    bound = NetworkBinding("0.0.0.0", "tcp", 80, 32768)
    thing = replace(
        task("a", TaskStatus.RUNNING), containers=(Container("id", "web", network_bindings=(bound,)),)
    )
    assert CODEC.encode(thing) == (
        b'{"arn":"arn:aws:ecs:us-east-1:000000000000:task/default/a",'
        b'"cluster_arn":"arn:aws:ecs:us-east-1:000000000000:cluster/default",'
        b'"task_definition_arn":"arn:aws:ecs:us-east-1:000000000000:task-definition/web:1",'
        b'"group":"service:web","last_status":"RUNNING","containers":[{"id":"id","name":"web",'
        b'"network_bindings":[["0.0.0.0","tcp",80,32768,null,null]]}],'
        b'"service_arn":"arn:aws:ecs:us-east-1:000000000000:service/default/web"}'
    )


def test_none_where_the_default_is_something_comes_back() -> None:
    thing = replace(task("a"), launch_type=None)
    assert CODEC.decode("task", CODEC.encode(thing), {}) == thing


def test_a_document_is_kept_with_the_defaults_it_was_answered_with() -> None:
    thing = TaskDefinition(arn="a", container_definitions=(), family="f", revision=1)
    body = CODEC.encode(thing)
    assert b'"networkMode":"bridge"' in body
    assert b"null" not in body
    assert CODEC.decode("task_definition", body, {}) == thing


def test_an_event_takes_the_state_that_was_just_encoded() -> None:
    thing = task("a")
    event = replace(message("m"), state=thing)
    body = CODEC.encode(thing)
    assert CODEC.encode_event(event, {id(thing): body})[2] is body
    assert CODEC.encode_event(event, {}) == CODEC.encode_event(event, {id(thing): body})


@pytest.mark.parametrize(
    "body",
    [
        b'{"arn":"a","name":"n","colour":"red"}',
        b'{"arn":"a","name":"n","default_capacity_provider_strategy":[{"capacity_provider":"p","x":1}]}',
        b'{"arn":"a"}',
        b'{"arn":"a","name":null}',
        b'{"arn":"a","name":"n","tags":[["key"]]}',
        b'{"arn":"a","name":"n"',
        b"",
        b"\xff",
        b"[]",
    ],
)
def test_a_body_that_is_not_wholly_understood_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        CODEC.decode("cluster", body, {})


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind 'spaceship'"):
        CODEC.decode("spaceship", b"{}", {})


@pytest.mark.parametrize(
    "thing",
    [
        Cluster(DEFAULT, None),  # type: ignore[arg-type]
        replace(cluster(), name=7),  # type: ignore[arg-type]
        replace(cluster(), created_at=float("inf")),
        replace(cluster(), created_at=float("nan")),
        replace(cluster(), tags=[("key", "value")]),  # type: ignore[arg-type]
        replace(cluster(), configuration={"a": object()}),
        replace(cluster(), name="\ud800"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(thing: Cluster) -> None:
    with pytest.raises(ValueError, match="this Cluster cannot be stored"):
        CODEC.encode(thing)


def test_equal_texts_of_one_load_are_one() -> None:
    known: dict[str, str] = {}
    a, b = (CODEC.decode("task", CODEC.encode(task(name)), known) for name in "ab")
    assert isinstance(a, Task) and isinstance(b, Task)
    assert a.service_arn is b.service_arn
    assert a.task_definition_arn is b.task_definition_arn


def test_a_revision_from_before_version_consistency_has_nothing_to_resolve() -> None:
    """What runs in an old data folder goes on by its tags until its next deployment."""
    body = b'{"arn":"r","service_arn":"s","cluster_arn":"c","spec":{"task_definition_arn":"t"}}'
    revision = Codec().decode("service_revision", body, {})
    assert (revision.digests, revision.unresolved, revision.attempts) == ((), (), 0)
