"""The variables of a service manager, read."""

import pytest

from pyfork.system.systemd_env import (
    notify_socket,
    passed_sockets,
    remove,
    retarget_pid,
    watchdog_interval,
)


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, {}),
        ({"LISTEN_FDS": "2"}, {}),
        ({"LISTEN_FDS": "2", "LISTEN_PID": "8"}, {}),
        ({"LISTEN_FDS": "x", "LISTEN_PID": "7"}, {}),
        ({"LISTEN_FDS": "-1", "LISTEN_PID": "7"}, {}),
        ({"LISTEN_FDS": "0", "LISTEN_PID": "7"}, {}),
        ({"LISTEN_FDS": "2", "LISTEN_PID": "7"}, {"fd://3": "", "fd://4": ""}),
        (
            {"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web"},
            {"fd://3": "web", "fd://4": ""},
        ),
        (
            {"LISTEN_FDS": "1", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web:more"},
            {"fd://3": "web"},
        ),
    ],
)
def test_passed_sockets(environ: dict[str, str], found: dict[str, str]) -> None:
    assert passed_sockets(environ, 7) == found


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("/run/systemd/notify", "/run/systemd/notify"),
        ("@abstract", "\0abstract"),
        ("", None),
        ("/", None),
        ("vsock:2:1234", None),
    ],
)
def test_notify_socket(place: str, address: str | None) -> None:
    assert notify_socket({"NOTIFY_SOCKET": place}) == address


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_interval(environ, 7) == seconds


def test_a_successor_is_spoken_to_in_our_place() -> None:
    environ = {"LISTEN_PID": "7", "WATCHDOG_PID": "7", "LISTEN_FDS": "1", "A": "7"}
    changed = environ | {"LISTEN_PID": "8", "WATCHDOG_PID": "8"}
    assert retarget_pid(environ, 7, 8) == changed
    assert retarget_pid(environ, 6, 8) == environ


def test_workers_get_none_of_it() -> None:
    environ = {"LISTEN_PID": "7", "NOTIFY_SOCKET": "/a", "WATCHDOG_USEC": "1", "PATH": "/bin"}
    remove(environ)
    assert environ == {"PATH": "/bin"}
