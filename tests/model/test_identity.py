"""What is worked out once for an object: asked again it is the same, another object has its own."""

from miniecs.model.identity import once_for_each


def test_an_object_is_looked_at_once() -> None:
    seen: list[list[int]] = []

    @once_for_each(most=10)
    def total(numbers: list[int]) -> int:
        seen.append(numbers)
        return sum(numbers)

    one, equal = [1, 2], [1, 2]
    assert [total(one), total(one), total(equal)] == [3, 3, 3]
    assert [id(each) for each in seen] == [id(one), id(equal)]


def test_an_identity_that_is_given_again_is_not_taken_for_the_object_that_had_it() -> None:
    @once_for_each(most=1_000)
    def content(numbers: list[int]) -> tuple[int, ...]:
        return tuple(numbers)

    # Nobody else holds on to these lists, so without the cache most would have one address.
    assert [content([number]) for number in range(500)] == [(number,) for number in range(500)]


def test_it_forgets_all_rather_than_grow() -> None:
    made = 0

    @once_for_each(most=2)
    def content(numbers: list[int]) -> int:
        nonlocal made
        made += 1
        return made

    lists = [[1], [2], [3]]
    assert [content(each) for each in lists] == [1, 2, 3]
    assert [content(each) for each in lists] == [4, 5, 6]  # the third had made it forget the first two
    assert content(lists[2]) == 6
