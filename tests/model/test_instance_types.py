"""Instance types: nominal figures, and an answer for what is not known."""

from __future__ import annotations

import pytest

from miniecs.model.instance_types import INSTANCE_TYPES, UnknownInstanceType, instance_type


@pytest.mark.parametrize(
    ("name", "cpu", "memory", "interfaces"),
    [
        ("t2.nano", 1024, 512, 2),
        ("t3.medium", 2048, 4096, 3),
        ("t3a.2xlarge", 8192, 32768, 4),
        ("m5.large", 2048, 8192, 3),
        ("m6i.32xlarge", 131072, 524288, 15),
        ("c5.xlarge", 4096, 8192, 4),
        ("c6i.2xlarge", 8192, 16384, 4),
        ("r5.large", 2048, 16384, 3),
    ],
)
def test_known_types(name: str, cpu: int, memory: int, interfaces: int) -> None:
    found = instance_type(name)
    assert (found.name, found.cpu, found.memory, found.interfaces) == (name, cpu, memory, interfaces)


def test_all_families_are_there() -> None:
    families = {name.split(".")[0] for name in INSTANCE_TYPES}
    assert families == {"t2", "t3", "t3a", "m5", "m6i", "c5", "c6i", "r5"}


def test_an_unknown_type_lists_the_known_ones() -> None:
    with pytest.raises(UnknownInstanceType) as caught:
        instance_type("x9.huge")
    text = str(caught.value)
    assert text.startswith("'x9.huge' is not a known instance type. Known are: t2 (nano, micro, small,")
    assert all(name.split(".")[0] in text and name.split(".")[1] in text for name in INSTANCE_TYPES)
