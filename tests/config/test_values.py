"""Each kind of value: what is read from text and from TOML, what is refused, what is shown."""

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfork.config import types
from pyfork.config.config import SETTINGS
from pyfork.config.types import ValueType, choice, optional, whole
from pyfork.errors import ConfigError

COLOUR = choice("red", "green")

READ: list[tuple[ValueType[Any], object, object]] = [
    (whole(1), "4", 4),
    (whole(1), 4, 4),
    (whole(0), "0", 0),
    (types.WORKERS, "3", 3),
    (COLOUR, "red", "red"),
    (optional(types.TEXT), "", None),
    (optional(types.TEXT), "x", "x"),
    (types.SECONDS, "0", 0.0),
    (types.SECONDS, "1.5", 1.5),
    (types.SECONDS, 30, 30.0),
    (types.SIZE, "512", 512),
    (types.SIZE, 512, 512),
    (types.SIZE, "64k", 65536),
    (types.SIZE, "512M", 512 << 20),
    (types.SIZE, "2G", 2 << 30),
    (types.MODE, "022", 0o22),
    (types.MODE, "0o660", 0o660),
    (types.WORKER_CLASS, "sync", "sync"),
    (types.WORKER_CLASS, "my.own.Worker", "my.own.Worker"),
    (types.BOOLEAN, True, True),
    (types.BOOLEAN, "No", False),
    (types.BOOLEAN, "1", True),
    (types.ROOT_PATH, "/api/", "/api"),
    (types.ROOT_PATH, "", ""),
    (types.ADDRESSES, ":80, unix:/x", (":80", "unix:/x")),
    (types.ADDRESSES, (":80", ":81"), (":80", ":81")),
    (types.ADDRESSES, [":80"], (":80",)),
    (types.PATHS, "a,b", ("a", "b")),
    (types.NETWORKS, "10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
    (types.NETWORKS, "10.0.0.1,*", "*"),
    (types.NETWORKS, "", ()),
    (types.VARIABLES, ("A=1", "B=x=y z"), (("A", "1"), ("B", "x=y z"))),
    (types.VARIABLES, "A=1 B='x y'", (("A", "1"), ("B", "x y"))),
    (types.VARIABLES, {"A": "", "B": 2}, (("A", ""), ("B", "2"))),
]

REFUSED: list[tuple[ValueType[Any], object]] = [
    (whole(1), "0"),
    (whole(1), "-1"),
    (whole(1), "four"),
    (whole(1), "4.0"),
    (whole(1), 4.0),
    (whole(1), True),
    (whole(1), "٤"),
    (types.WORKERS, "0"),
    (types.WORKERS, "many"),
    (COLOUR, "blue"),
    (COLOUR, 1),
    (COLOUR, ["red"]),
    (types.TEXT, ""),
    (types.TEXT, 5),
    (types.TEXT, "a\0b"),
    (types.SECONDS, "-1"),
    (types.SECONDS, "nan"),
    (types.SECONDS, "inf"),
    (types.SECONDS, True),
    (types.SECONDS, "30s"),
    (types.SIZE, "1T"),
    (types.SIZE, "-1"),
    (types.SIZE, 1.5),
    (types.SIZE, True),
    (types.MODE, "8"),
    (types.MODE, "-1"),
    (types.MODE, "10000"),
    (types.MODE, 22),
    (types.WORKER_CLASS, "gevent"),
    (types.WORKER_CLASS, "a..b"),
    (types.WORKER_CLASS, "my-own.Worker"),
    (types.BOOLEAN, "maybe"),
    (types.BOOLEAN, 1),
    (types.ROOT_PATH, "api"),
    (types.ROOT_PATH, 1),
    (types.ADDRESSES, []),
    (types.ADDRESSES, ":80,"),
    (types.ADDRESSES, 80),
    (types.NETWORKS, "10.0.0.1/8"),
    (types.NETWORKS, "localhost"),
    (types.NETWORKS, 10),
    (types.VARIABLES, ("A",)),
    (types.VARIABLES, ("=1",)),
    (types.VARIABLES, {"": "1"}),
    (types.VARIABLES, {"A=B": "1"}),
    (types.VARIABLES, {"A": ["x"]}),
    (types.VARIABLES, {"A": True}),
    (types.VARIABLES, {"A": "x\0"}),
    (types.VARIABLES, "'A=1"),
    (types.VARIABLES, 5),
]


@pytest.mark.parametrize(("kind", "raw", "value"), READ)
def test_it_reads(kind: ValueType[Any], raw: object, value: object) -> None:
    assert kind.read(raw) == value
    assert kind.read(kind.show(value)) == value


@pytest.mark.parametrize(("kind", "raw"), REFUSED)
def test_it_refuses(kind: ValueType[Any], raw: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- its message is not used
        kind.read(raw)


def test_an_address_says_itself_what_is_wrong_with_it() -> None:
    with pytest.raises(ConfigError, match="http://"):
        types.ADDRESSES.read("http://127.0.0.1")


def test_auto_workers_are_at_least_one() -> None:
    assert types.WORKERS.read("auto") >= 1


@pytest.mark.parametrize("name", SETTINGS)
def test_each_default_reads_back_from_what_is_shown(name: str) -> None:
    each = SETTINGS[name]
    shown = each.kind.show(each.default)
    if shown or each.default in (None, ""):
        assert each.kind.read(shown) == each.default


@given(st.integers(0, 1 << 45))
def test_sizes_read_back(size: int) -> None:
    assert types.SIZE.read(types.SIZE.show(size)) == size


@given(st.integers(0, 0o7777))
def test_modes_read_back(mode: int) -> None:
    assert types.MODE.read(types.MODE.show(mode)) == mode


@given(st.lists(st.tuples(st.from_regex(r"[A-Z_]+", fullmatch=True), st.text(max_size=9))))
def test_variables_read_back(pairs: list[tuple[str, str]]) -> None:
    wanted = tuple((name, text) for name, text in pairs if "\0" not in text)
    assert types.VARIABLES.read(types.VARIABLES.show(wanted)) == wanted
