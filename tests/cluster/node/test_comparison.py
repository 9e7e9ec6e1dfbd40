"""The same scenario in Node and in pyfork: the same events in the same order, and the same for
clients. What differs is asserted too; the table is in docs/cluster.md."""

import os
import signal
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.cluster.node.running import Client, Primary, ask, refused
from tests.harness.ports import free_port

POLICIES = ("round-robin", "shared")

Scenario = Callable[[Primary], object]


def both(scenario: Scenario, policy: str) -> tuple[object, object]:
    """What a scenario comes to in Node, and in pyfork."""

    def run(kind: str) -> object:
        with Primary(kind, policy) as primary:
            return scenario(primary)

    with ThreadPoolExecutor() as pool:
        node, pyfork = pool.map(run, ("node", "pyfork"))
    return node, pyfork


def three(primary: Primary) -> tuple[int, list[int]]:
    """Workers at a port."""
    port = free_port()
    workers = [primary.fork(port) for _ in range(3)]
    for worker in workers:
        primary.seen("listening", worker)
    return port, workers


def histories(primary: Primary) -> list[list[Any]]:
    return [primary.history(worker) for worker in primary.pids]


def serves(primary: Primary) -> object:
    """Fork three, ask them, and speak with them."""
    port, workers = three(primary)
    answers = Counter(ask(port) for _ in range(12))
    for worker in workers:
        echo = {"text": "ä", "numbers": [1, 2.5, None], "yes": True}
        assert primary.ask(worker, "echo", echo) == {"echo": echo}
    fair = primary.policy == "round-robin"
    return histories(primary), sum(answers.values()), sorted(answers.values()) if fair else []


def dies(primary: Primary) -> object:
    """Kill -9 one of two that has a client."""
    port, workers = three(primary)
    with Client(port) as client:
        worker = client.ask()
        os.kill(primary.pids[worker], signal.SIGKILL)
        cut = client.hear() == 0
    primary.wait_gone(worker)
    others = {ask(port) for _ in range(6)} <= {*workers} - {worker}
    return primary.history(worker), cut, others


def disconnects(primary: Primary) -> object:
    """Disconnect one that has a client: it is answered, and nobody new comes."""
    port, _ = three(primary)
    with Client(port) as client:
        worker = client.ask()
        primary.tell("disconnect", worker)
        _until_gone(port, worker)
        after = client.ask() == worker
        told = [fact for fact in primary.history(worker) if fact[0] == "disconnect"]
    primary.wait_gone(worker)
    return primary.history(worker), after, told


def _until_gone(port: int, worker: int) -> None:
    """Ask until a worker is not among those who answer, which may be long under `shared`."""
    asked, silent = 0, 0
    while silent < 30:
        silent = 0 if ask(port) == worker else silent + 1
        asked += 1
        assert asked < 1000, "it goes on to accept"


def ends(primary: Primary) -> object:
    """Four ways to go: kill(), a status, and by itself."""
    port = free_port()
    workers = [primary.fork(port) for _ in range(4)]
    for worker in workers:
        primary.seen("listening", worker)
    primary.tell("kill", workers[0])
    primary.tell("send", workers[1], ["exit", 3])
    primary.tell("send", workers[2], ["kill"])
    primary.tell("send", workers[3], ["disconnect"])
    for worker in workers:
        primary.wait_gone(worker)
    return histories(primary)


def ends_all(primary: Primary) -> object:
    """Port 0 is one port; disconnect() closes it, and says when all have gone."""
    workers = [primary.fork(0) for _ in range(2)]
    for worker in workers:
        primary.seen("listening", worker)
    one, other = (primary.ask(worker, "where")["port"] for worker in workers)
    with Client(one) as client:
        answered = client.ask() in workers
    primary.tell("end")
    primary.wait("ended")
    for worker in workers:
        primary.wait_gone(worker)  # Node may say "ended" while one of them still holds the port
    return histories(primary), one == other, answered, refused(one)


def reaches_out(primary: Primary) -> object:
    """Disconnect one that has a connection of its own: it lives until that ends."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        port = elsewhere.getsockname()[1]
        worker = primary.fork(free_port())
        primary.seen("listening", worker)
        assert primary.ask(worker, "reach", port) == {"reached": port}
        connection, _ = elsewhere.accept()
        with connection:
            primary.tell("disconnect", worker)
            connection.settimeout(2)
            try:
                lives = connection.recv(1) != b""
            except TimeoutError:
                lives = True
        primary.wait_gone(worker)
    return lives, [fact[0] for fact in primary.history(worker)][-2:]


def sets_up(primary: Primary) -> object:
    """What is not given is as it was given before."""
    primary.tell("setup", [primary.policy, "x"], True)
    primary.tell("setup", None, None)
    primary.tell("setup", None, False)
    worker = primary.fork(free_port())
    primary.seen("listening", worker)
    return [(event, rest) for event, _, _, rest in primary.facts if event in ("setup", "fork")]


def collides(primary: Primary) -> object:
    """A port that somebody else has, and ports of their own."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        worker = primary.fork(held.getsockname()[1])
        primary.wait("message", worker)
    alone = [primary.fork(0, EXCLUSIVE="1") for _ in range(2)]
    for each in alone:
        primary.seen("online", each)
    ports = {primary.ask(each, "where")["port"] for each in alone}
    return histories(primary), len(ports)


@pytest.mark.needs("node")
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "scenario",
    [serves, dies, disconnects, reaches_out, sets_up, ends, ends_all, collides],
    ids=lambda each: each.__name__,
)
def test_the_same_happens(scenario: Scenario, policy: str) -> None:
    node, pyfork = both(scenario, policy)
    assert node == pyfork


def last_one_dies(primary: Primary) -> object:
    """The only worker is killed; a client comes, and then another worker."""
    port = free_port()
    first = primary.fork(port)
    primary.seen("listening", first)
    os.kill(primary.pids[first], signal.SIGKILL)
    primary.wait_gone(first)
    if refused(port):
        return "refused"
    with Client(port) as client:
        client.say()
        second = primary.fork(port)
        return "answered" if client.hear() == second else "cut"


def one_is_stopped(primary: Primary) -> object:
    """One of two is stopped, 8 clients come, and it is killed. How many are answered."""
    port = free_port()
    workers = [primary.fork(port) for _ in range(2)]
    for worker in workers:
        primary.seen("listening", worker)
    os.kill(primary.pids[workers[0]], signal.SIGSTOP)
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(8)]
        for client in clients:
            client.say()
        os.kill(primary.pids[workers[0]], signal.SIGKILL)
        primary.wait("exit", workers[0])  # in Node "disconnect" does not follow
        return sum(client.hear(patience=2) == workers[1] for client in clients)


@pytest.mark.needs("node")
@pytest.mark.parametrize("policy", POLICIES)
def test_the_port_of_the_last_worker_that_died_waits_for_the_next(policy: str) -> None:
    assert both(last_one_dies, policy) == ("refused", "answered")


@pytest.mark.needs("node")
def test_connections_of_a_worker_that_dies_before_it_has_them_are_not_lost() -> None:
    assert both(one_is_stopped, "round-robin") == (7, 8)
