"""Records behave as frozen dataclasses do, entities as those that change."""

import sys
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pytest

from pyfork.record import asdict, entity, field, fields, record

T = TypeVar("T")


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


@entity
class Basket:
    """Something to put things in."""

    owner: str
    full: bool = False
    things: list[str] = field(default_factory=list)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.things)


@entity(kw_only=True)
class Shelf:
    height: int


@record
class Box(Generic[T]):
    content: T


def test_an_entity_changes_and_equals_only_itself() -> None:
    one, other = Basket("a"), Basket("a")
    assert one != other
    assert len({one, other}) == 2
    one.full = True
    assert (one.full, other.full) == (True, False)
    with pytest.raises(AttributeError):
        one.weight = 2  # type: ignore[attr-defined]
    assert not hasattr(one, "__dict__")


def test_a_default_is_made_for_each() -> None:
    one, other = Basket("a"), Basket("a")
    one.things.append("pear")
    assert other.things == []
    assert Basket("a", things=["pear"]).size == 1


def test_what_is_set_later_is_not_given() -> None:
    with pytest.raises(TypeError):
        Basket("a", size=3)  # type: ignore[call-arg]
    assert repr(Basket("a")) == "Basket(owner='a', full=False, things=[], size=0)"


def test_an_entity_by_name_alone() -> None:
    assert Shelf(height=2).height == 2
    with pytest.raises(TypeError):
        Shelf(2)  # type: ignore[call-arg]


def test_a_record_may_be_generic() -> None:
    box: Box[int] = Box(2)
    assert (box.content, Box[int](2)) == (2, box)
    assert fields(Box) == ("content",)


def test_a_class_is_asked_for_its_fields() -> None:
    """From CPython 3.14 on they are not in its body."""

    class Lazy(type):
        @property
        def __annotations__(cls) -> dict[str, Any]:  # type: ignore[override]
            return {"x": int}

    point: Any = record(Lazy("Point", (), {}))
    assert fields(point) == ("x",)
    assert point(1) == point(x=1)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="names are looked up at once")
def test_a_field_may_be_of_a_type_for_checkers_alone() -> None:
    names: dict[str, Any] = {"record": record}
    exec("@record\nclass Point:\n    x: NotThere\n    y: int = 0", names)
    assert fields(names["Point"]) == ("x", "y")


def test_entities_that_have_each_other_can_be_shown() -> None:
    basket = Basket("a")
    basket.things.append(basket)  # type: ignore[arg-type]
    assert repr(basket) == "Basket(owner='a', full=False, things=[...], size=0)"
