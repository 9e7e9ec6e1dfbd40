"""Records behave as frozen dataclasses do."""

from dataclasses import dataclass

import pytest

from pyfork.record import asdict, record


@record
class Point:
    """A place."""

    x: int
    y: int = 0

    @property
    def both(self) -> tuple[int, int]:
        return self.x, self.y


@record
class Other:
    x: int
    y: int = 0


@record(kw_only=True)
class Named:
    x: int
    y: int = 0


@record
class Empty:
    pass


@dataclass(frozen=True, slots=True)
class Twin:
    """What Point would be as a dataclass."""

    x: int
    y: int = 0


def test_fields_come_by_place_or_name() -> None:
    assert Point(1, 2).both == Point(1, y=2).both == Point(y=2, x=1).both == (1, 2)
    assert Point(1).y == 0
    assert Named(x=1).y == 0
    assert Empty() == Empty()


@pytest.mark.parametrize(
    ("args", "given"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1})]
)
def test_wrong_fields_are_refused_as_by_a_dataclass(
    args: tuple[int, ...], given: dict[str, int]
) -> None:
    for kind in (Twin, Point):
        with pytest.raises(TypeError):
            kind(*args, **given)


def test_by_name_alone() -> None:
    with pytest.raises(TypeError):
        Named(1)  # type: ignore[call-arg, misc, unused-ignore]


def test_equal_by_type_and_values() -> None:
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(1, 3)
    other: object = Other(1, 2)
    assert Point(1, 2) != other
    assert len({Point(1, 2), Point(1, 2), Other(1, 2)}) == 2


def test_nothing_changes() -> None:
    point = Point(1)
    for name in ("x", "z"):
        with pytest.raises(AttributeError):
            setattr(point, name, 2)
    with pytest.raises(AttributeError):
        del point.x
    assert not hasattr(point, "__dict__")


def test_shown_matched_and_taken_apart() -> None:
    point = Point(1, 2)
    assert repr(point) == "Point(x=1, y=2)"
    match point:
        case Other():
            pytest.fail("that is another class")
        case Point(x, y=2):
            assert x == 1
    assert asdict(point) == {"x": 1, "y": 2}
    assert Point.__doc__ == "A place."
