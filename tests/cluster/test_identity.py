"""What a shared socket is to those who look closely: the very class, the name."""

import signal
from pathlib import Path

from tests.cluster.test_bind import write
from tests.harness.ports import free_port
from tests.harness.script import Script


def test_its_class_is_that_of_python(tmp_path: Path) -> None:
    """trio.socket.from_stdlib_socket() takes no other."""
    text = """
for port in (0, int(__import__("sys").argv[1])):
    listener = socket.create_server(("127.0.0.1", port))
    listener.getsockname()
    print(type(listener) is socket.socket, flush=True)
start(listener)
"""
    script, port = write(tmp_path, text), free_port()
    with Script(script, str(port), workers=1, directory=tmp_path) as running:
        running.until(lambda: running.out.count("\n") == 2, "it has told twice")
        assert running.out == "True\nTrue\n"


def test_at_exit_getsockname_says_what_it_said(tmp_path: Path) -> None:
    """Clean-up of asyncio and gunicorn asks for it: benoitc/gunicorn#2699, #3718."""
    text = """
import signal
listener = socket.create_server(("127.0.0.1", 0))
name = listener.getsockname()
done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())
threading.Thread(target=serve, args=(listener,), daemon=True).start()
while not done.wait(0.1):
    pass
print(listener.getsockname() == name, flush=True)
"""
    script = write(tmp_path, text)
    with Script(script, workers=2, directory=tmp_path) as running:
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert running.out == "True\nTrue\n"


def test_getsockname_is_right_at_every_moment_of_the_exit(tmp_path: Path) -> None:
    """The listener is replaced while another thread asks for its name."""
    text = """
import signal, sys
sys.setswitchinterval(1e-6)
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(30)]
names = [listener.getsockname() for listener in listeners]
done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())
print("asks", flush=True)
wrong = []
while not done.is_set():
    for listener, name in zip(listeners, names):
        if (said := listener.getsockname()) != name:
            wrong.append(said)
print(wrong, flush=True)
"""
    script = write(tmp_path, text)
    with Script(script, workers=1, directory=tmp_path) as running:
        running.until(lambda: "asks" in running.out, "the script asks for the names")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert running.out == "asks\n[]\n"
