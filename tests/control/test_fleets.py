"""The hosts that a fleet keeps: one for each version of a container instance, and none for longer."""

import pytest

from miniecs.control.launch import host_of
from miniecs.fleets import Fleets
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance, shared_attributes
from miniecs.store.memory import MemoryStore

INSTANCE = ContainerInstance("arn:aws:ecs:us-east-1:0:container-instance/default/1", "default", cpu=1024)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def fleets(store: MemoryStore) -> Fleets:
    return Fleets(store)


def put(store: MemoryStore, instance: ContainerInstance) -> ContainerInstance:
    with store.transaction() as tx:
        tx.put(instance)
    return instance


def test_an_instance_has_one_host_until_it_changes(store: MemoryStore, fleets: Fleets) -> None:
    put(store, INSTANCE)
    host = fleets.host_of(INSTANCE)
    assert host == host_of(INSTANCE)
    assert fleets.host_of(INSTANCE) is host
    draining = put(store, replace(INSTANCE, status="DRAINING"))
    assert not fleets.host_of(draining).active


def test_another_version_than_the_stored_one_is_made_by_itself(store: MemoryStore, fleets: Fleets) -> None:
    put(store, INSTANCE)
    assert fleets.host_of(replace(INSTANCE, cpu=2048)).capacity.cpu == 2048
    assert fleets.host_of(INSTANCE).capacity.cpu == 1024


def test_what_is_rebuilt_is_what_is_stored(store: MemoryStore, fleets: Fleets) -> None:
    put(store, INSTANCE)
    host = fleets.host_of(INSTANCE)
    fleets.rebuild()
    assert fleets.host_of(INSTANCE) is not host
    assert fleets.host_of(INSTANCE) == host


def test_instances_that_are_alike_share_their_attributes() -> None:
    one, other = (shared_attributes({"ecs.os-type": "linux", "a.b": None}) for _ in range(2))
    assert one is other
    instance = replace(INSTANCE, attributes=one)
    assert instance.attribute_values == {"ecs.os-type": "linux", "a.b": ""}
    assert instance.attribute("a.b") == ""
    assert instance.attribute("c.d") is None
