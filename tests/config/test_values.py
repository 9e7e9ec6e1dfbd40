"""Each kind of value: what is read from text and from TOML, what is refused, what is shown."""

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfork.config import values
from pyfork.config.settings import SETTINGS
from pyfork.config.values import Kind, choice, optional, whole
from pyfork.errors import ConfigError

COLOUR = choice("red", "green")

READ: list[tuple[Kind[Any], object, object]] = [
    (whole(1), "4", 4),
    (whole(1), 4, 4),
    (whole(0), "0", 0),
    (values.WORKERS, "3", 3),
    (COLOUR, "red", "red"),
    (optional(values.TEXT), "", None),
    (optional(values.TEXT), "x", "x"),
    (values.SECONDS, "0", 0.0),
    (values.SECONDS, "1.5", 1.5),
    (values.SECONDS, 30, 30.0),
    (values.SIZE, "512", 512),
    (values.SIZE, 512, 512),
    (values.SIZE, "64k", 65536),
    (values.SIZE, "512M", 512 << 20),
    (values.SIZE, "2G", 2 << 30),
    (values.MODE, "022", 0o22),
    (values.MODE, "0o660", 0o660),
    (values.WORKER_CLASS, "sync", "sync"),
    (values.WORKER_CLASS, "my.own.Worker", "my.own.Worker"),
    (values.BOOLEAN, True, True),
    (values.BOOLEAN, "No", False),
    (values.BOOLEAN, "1", True),
    (values.ROOT_PATH, "/api/", "/api"),
    (values.ROOT_PATH, "", ""),
    (values.ADDRESSES, ":80, unix:/x", (":80", "unix:/x")),
    (values.ADDRESSES, (":80", ":81"), (":80", ":81")),
    (values.ADDRESSES, [":80"], (":80",)),
    (values.PATHS, "a,b", ("a", "b")),
    (values.NETWORKS, "10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
    (values.NETWORKS, "10.0.0.1,*", "*"),
    (values.NETWORKS, "", ()),
    (values.VARIABLES, ("A=1", "B=x=y z"), (("A", "1"), ("B", "x=y z"))),
    (values.VARIABLES, "A=1 B='x y'", (("A", "1"), ("B", "x y"))),
    (values.VARIABLES, {"A": "", "B": 2}, (("A", ""), ("B", "2"))),
]

REFUSED: list[tuple[Kind[Any], object]] = [
    (whole(1), "0"),
    (whole(1), "-1"),
    (whole(1), "four"),
    (whole(1), "4.0"),
    (whole(1), 4.0),
    (whole(1), True),
    (whole(1), "٤"),
    (values.WORKERS, "0"),
    (values.WORKERS, "many"),
    (COLOUR, "blue"),
    (COLOUR, 1),
    (COLOUR, ["red"]),
    (values.TEXT, ""),
    (values.TEXT, 5),
    (values.TEXT, "a\0b"),
    (values.SECONDS, "-1"),
    (values.SECONDS, "nan"),
    (values.SECONDS, "inf"),
    (values.SECONDS, True),
    (values.SECONDS, "30s"),
    (values.SIZE, "1T"),
    (values.SIZE, "-1"),
    (values.SIZE, 1.5),
    (values.SIZE, True),
    (values.MODE, "8"),
    (values.MODE, "-1"),
    (values.MODE, "10000"),
    (values.MODE, 22),
    (values.WORKER_CLASS, "gevent"),
    (values.WORKER_CLASS, "a..b"),
    (values.WORKER_CLASS, "my-own.Worker"),
    (values.BOOLEAN, "maybe"),
    (values.BOOLEAN, 1),
    (values.ROOT_PATH, "api"),
    (values.ROOT_PATH, 1),
    (values.ADDRESSES, []),
    (values.ADDRESSES, ":80,"),
    (values.ADDRESSES, 80),
    (values.NETWORKS, "10.0.0.1/8"),
    (values.NETWORKS, "localhost"),
    (values.NETWORKS, 10),
    (values.VARIABLES, ("A",)),
    (values.VARIABLES, ("=1",)),
    (values.VARIABLES, {"": "1"}),
    (values.VARIABLES, {"A=B": "1"}),
    (values.VARIABLES, {"A": ["x"]}),
    (values.VARIABLES, {"A": True}),
    (values.VARIABLES, {"A": "x\0"}),
    (values.VARIABLES, "'A=1"),
    (values.VARIABLES, 5),
]


@pytest.mark.parametrize(("kind", "raw", "value"), READ)
def test_it_reads(kind: Kind[Any], raw: object, value: object) -> None:
    assert kind.read(raw) == value
    assert kind.read(kind.show(value)) == value


@pytest.mark.parametrize(("kind", "raw"), REFUSED)
def test_it_refuses(kind: Kind[Any], raw: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- its message is not used
        kind.read(raw)


def test_an_address_says_itself_what_is_wrong_with_it() -> None:
    with pytest.raises(ConfigError, match="http://"):
        values.ADDRESSES.read("http://127.0.0.1")


def test_auto_workers_are_at_least_one() -> None:
    assert values.WORKERS.read("auto") >= 1


@pytest.mark.parametrize("name", SETTINGS)
def test_each_default_reads_back_from_what_is_shown(name: str) -> None:
    each = SETTINGS[name]
    shown = each.kind.show(each.default)
    if shown or each.default in (None, ""):
        assert each.kind.read(shown) == each.default


@given(st.integers(0, 1 << 45))
def test_sizes_read_back(size: int) -> None:
    assert values.SIZE.read(values.SIZE.show(size)) == size


@given(st.integers(0, 0o7777))
def test_modes_read_back(mode: int) -> None:
    assert values.MODE.read(values.MODE.show(mode)) == mode


@given(st.lists(st.tuples(st.from_regex(r"[A-Z_]+", fullmatch=True), st.text(max_size=9))))
def test_variables_read_back(pairs: list[tuple[str, str]]) -> None:
    wanted = tuple((name, text) for name, text in pairs if "\0" not in text)
    assert values.VARIABLES.read(values.VARIABLES.show(wanted)) == wanted
