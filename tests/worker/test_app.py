"""Loading applications from real modules: every form, every interface, every way to fail."""

import functools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyfork.config.directory import Directory, Start
from pyfork.errors import BootError
from pyfork.loader import detection, tracebacks
from pyfork.loader.load import App, load, set_up_path
from tests.harness.server import environment

Write = Callable[..., None]

WSGI = "def {}(environ, start_response): return []\n"


def here(chdir: str | None = None) -> Directory:
    return Start.of_process({}).enter(chdir)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules into the current directory, which is on the path; forgets them afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    set_up_path(here(), ())

    def start(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    yield start
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refusal_of(spec: str, **options: Any) -> BootError:
    with pytest.raises(BootError) as refused:
        load(spec, **options)
    return refused.value


def refusal(spec: str, **options: Any) -> BootError:
    error = refusal_of(spec, **options)
    message = str(error)
    assert message.startswith(f"cannot load {spec}: ") or message.endswith(f"(cannot load {spec})")
    assert "\n" not in message
    return error


@pytest.mark.parametrize(
    "spec",
    ["forms", "forms:app", "forms:holder.app", "forms:make()", "forms:make_with('x', debug=True)"],
)
def test_each_form(write: Write, spec: str) -> None:
    write(
        "forms.py",
        WSGI.format("app")
        + "class holder: pass\nholder.app = app\n"
        + "def make(): return app\n"
        + "def make_with(name, *, debug): return app if (name, debug) == ('x', True) else None\n",
    )
    app = load(spec)
    assert app == App(sys.modules["forms"].app, "wsgi")


def test_application_comes_before_app(write: Write) -> None:
    write("both.py", WSGI.format("app") + WSGI.format("application"))
    assert load("both").callable.__name__ == "application"


def test_package_and_factory_option(write: Write) -> None:
    write("shop/__init__.py", "")
    write("shop/web.py", WSGI.format("app") + "def create_app(): return app\n")
    assert load("shop.web:create_app", factory=True).callable is sys.modules["shop.web"].app


async def function(scope: Any, receive: Any, send: Any) -> None: ...


async def with_extra(extra: Any, scope: Any, receive: Any, send: Any) -> None: ...


def sync_three(scope: Any, receive: Any, send: Any) -> Any: ...


def annotated(*args: Any) -> Awaitable[None]: ...  # type: ignore[empty-body]


def annotated_text(*args: Any) -> "Awaitable[None]": ...  # type: ignore[empty-body]


@functools.wraps(function)
def wrapped(*args: Any) -> Any: ...


def double(scope: Any) -> Any:
    async def inner(receive: Any, send: Any) -> None: ...

    return inner


class Caller:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    async def method(self, scope: Any, receive: Any, send: Any) -> None: ...

    def wsgi(self, environ: Any, start_response: Any) -> Any: ...


class Double:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


class Endpoint:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def __await__(self) -> Any: ...


class Iterated:
    def __init__(self, environ: Any, start_response: Any) -> None: ...


class SubCaller(Caller):
    pass


def wsgi(environ: Any, start_response: Any, more: Any = None) -> Any: ...


def loose(*args: Any, **keywords: Any) -> Any: ...


@pytest.mark.parametrize(
    ("app", "interface"),
    [
        (function, "asgi"),
        (functools.partial(with_extra, 1), "asgi"),
        (functools.partial(functools.partial(with_extra), 1), "asgi"),
        (sync_three, "asgi"),
        (annotated, "asgi"),
        (annotated_text, "asgi"),
        (wrapped, "asgi"),
        (Caller(), "asgi"),
        (SubCaller(), "asgi"),
        (functools.partial(Caller()), "asgi"),
        (Caller().method, "asgi"),
        (Caller().__call__, "asgi"),
        (Endpoint, "asgi"),
        (double, "asgi2"),
        (Double, "asgi2"),
        (wsgi, "wsgi"),
        (loose, "wsgi"),
        (Caller().wsgi, "wsgi"),
        (functools.partial(wsgi, more=1), "wsgi"),
        (Iterated, "wsgi"),
        (Caller, None),
        (lambda: wsgi, None),
        (lambda environ: [], None),
    ],
)
def test_interface_is_detected(app: Any, interface: str | None) -> None:
    assert detection.interface_of(app) == interface


FRAMEWORKS = {
    "flask": ("from flask import Flask\napp = Flask(__name__)", "wsgi"),
    "starlette": ("from starlette.applications import Starlette\napp = Starlette()", "asgi"),
    "fastapi": ("from fastapi import FastAPI\napp = FastAPI()", "asgi"),
    "endpoint": ("from starlette.endpoints import HTTPEndpoint as app", "asgi"),
    "django_asgi": ("from django.core.handlers.asgi import ASGIHandler\napp = ASGIHandler", "asgi"),
    "django_wsgi": ("from django.core.handlers.wsgi import WSGIHandler\napp = WSGIHandler", "wsgi"),
    "wsgiref": ("from wsgiref.simple_server import demo_app\nfrom wsgiref.validate import "
                "validator\napp = validator(demo_app)", "wsgi"),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_interface_of_frameworks(write: Write, name: str) -> None:
    text, interface = FRAMEWORKS[name]
    if name.startswith("django"):
        text = f"from django.conf import settings\nsettings.configure()\n{text}()\n"
    write(f"with_{name}.py", text)
    script = (
        "from pyfork.loader.load import load, set_up_path\n"
        "from pyfork.config.directory import Start\n"
    )
    script += "set_up_path(Start.of_process({}).enter(None), ())\n"
    script += f"print(load('with_{name}:app').interface)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment()
    )
    assert done.stdout.strip() == interface, done.stderr


def test_interface_setting_overrules(write: Write) -> None:
    write("over.py", WSGI.format("app") + "def odd(a): return []\n")
    assert load("over:app", interface="asgi").interface == "asgi"
    assert load("over:odd", interface="wsgi").interface == "wsgi"


def test_asgi2_is_wrapped(write: Write) -> None:
    write(
        "two.py",
        """
        class app:
            def __init__(self, scope): self.scope = scope
            async def __call__(self, receive, send): send.append((self.scope, receive))
        """,
    )
    app = load("two:app")
    sent: list[object] = []
    with pytest.raises(StopIteration):
        app.callable({"asgi": {"version": "3.0"}}, "receive", sent).send(None)
    assert app.interface == "asgi"
    assert sent == [({"asgi": {"version": "2.0"}}, "receive")]


@pytest.mark.parametrize(
    ("spec", "advice"),
    [
        ("/srv/shop/web.py:app", "write --chdir /srv/shop web:app"),
        ("../shop/web.py", "write --chdir ../shop web"),
        ("", "write module:name"),
        (":app", "write module:name"),
        ("my-app:app", "write module:name"),
        ("myapp:", "a colon too many: write myapp"),
        ("myapp:app:", "a colon too many: write myapp:app"),
        ("myapp:app:app", "write module:name"),
        ("myapp:app[0]", "write module:name"),
        ("myapp:a.b()()", "write module:name"),
        ("myapp:make(os.environ)", "only be literals"),
        ("myapp:make(**{})", "only be literals"),
    ],
)
def test_bad_spelling(spec: str, advice: str) -> None:
    assert advice in str(refusal(spec))


@pytest.mark.parametrize("spec", ["forms.py", "./forms.py:app", "forms", "./x/../forms.py:make()"])
def test_a_path_names_a_module(write: Write, spec: str) -> None:
    write("forms.py", WSGI.format("app") + "def make(): return app\n")
    assert load(spec).callable is sys.modules["forms"].app


def test_what_lies_beside_the_module_is_named(write: Write) -> None:
    write("kiosk/web.py", "import parts\n")
    write("kiosk/parts.py", "")
    error = str(refusal_of("kiosk/web.py:app"))
    assert error.endswith(
        "which is in kiosk; write --chdir kiosk web:app (cannot load kiosk.web:app)"
    )


def test_no_such_module(write: Write) -> None:
    write("myapp.py", "")
    write("pack/__init__.py", "")
    write("pack/web.py", "")
    error = refusal("myap:app")
    assert f"no module 'myap' in {os.getcwd()}" in str(error)
    assert "did you mean myapp?" in str(error)
    assert error.detail == ""
    assert "no module 'pack.wep'" in str(refusal("pack.wep"))
    assert "did you mean web?" in str(refusal("pack.wep"))
    assert "--chdir" in str(refusal("nothing_like_it"))
    assert "'myapp' is not a package" in str(refusal("myapp.web:app"))


def test_module_that_the_app_needs_is_missing(write: Write) -> None:
    write("needy.py", "def helper():\n    import not_there.sub\nhelper()\n")
    error = refusal("needy:app")
    assert str(error).startswith("needy.py:2: needs module 'not_there', which is not installed")
    assert sys.prefix in str(error)
    assert error.detail.splitlines()[0] == "Traceback (most recent call last):"
    assert error.detail.splitlines()[-1] == "ModuleNotFoundError: No module named 'not_there'"
    assert "importlib" not in error.detail
    assert "pyfork/worker" not in error.detail
    assert error.detail.count('File "') == 2


def test_module_of_python_itself_is_missing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("stdlib.py", "import wave\n")
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    monkeypatch.setattr(sys, "path", [os.getcwd()])
    error = str(refusal("stdlib"))
    assert f"which is Python's own: user {os.geteuid()} may not read {sys.base_prefix}" in error


def test_own_submodule_is_missing(write: Write) -> None:
    write("pack2/__init__.py", "from . import gone\nimport pack2.gone\n")
    assert "pack2/__init__.py:1: ImportError: cannot import name 'gone'" in str(refusal("pack2"))
    write("pack3/__init__.py", "import pack3.gone\n")
    assert "needs module 'pack3.gone', which does not exist" in str(refusal("pack3.web"))
    write("pack4/__init__.py", "import pack4.web\n")
    assert "pack4/__init__.py:1: ModuleNotFoundError" in str(refusal("pack4.web:app"))


def test_syntax_error(write: Write) -> None:
    write("broken.py", "x = 1\ndef f(:\n")
    error = refusal("broken:app")
    assert str(error).startswith("broken.py:2: SyntaxError: ")
    assert "def f(:" in error.detail


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / 0", "raises.py:1: ZeroDivisionError: division by zero"),
        (
            "from os import nothing",
            "raises.py:1: ImportError: cannot import name 'nothing' from 'os'",
        ),
        ("raise KeyboardInterrupt", "raises.py:1: KeyboardInterrupt"),
        ("raise ValueError('a\\nb')", "raises.py:1: ValueError: a b"),
        ("import sys; sys.exit('bye')", "ended the program (SystemExit: bye)"),
        ("class Odd(BaseException): pass\nraise Odd", "raises.py:2: Odd"),
    ],
)
def test_import_that_raises(write: Write, text: str, why: str) -> None:
    write("raises.py", text)
    error = refusal("raises:app")
    assert why in str(error)
    assert error.detail.count('File "') == 1
    assert f'File "{os.getcwd()}/raises.py"' in error.detail


def test_detail_keeps_the_chain_of_causes(write: Write) -> None:
    write("inner.py", "1 / 0")
    write(
        "outer.py",
        """
        try:
            import inner
        except ArithmeticError as error:
            raise RuntimeError("no config") from error
        """,
    )
    detail = refusal("outer").detail
    assert detail.index("inner.py") < detail.index("direct cause") < detail.index("no config")
    assert detail.count('File "') == 3
    assert "importlib" not in detail


def test_the_own_part_of_a_traceback() -> None:
    """Frames of libraries are counted; what a handler raises again in one place is said once."""
    errors = []
    for _ in range(2):
        try:
            json.loads("{")
        except ValueError as error:
            errors.append(error)
    shown = tracebacks.own_traceback(errors[0])
    assert shown.count('File "') == 1
    assert shown.endswith("(3 frames of libraries left out; -v shows all)")
    errors[1].__context__ = errors[0]
    assert tracebacks.own_traceback(errors[1]) == shown


def test_no_such_attribute(write: Write) -> None:
    write(
        "attrs.py",
        "from os.path import join\nimport json\n"
        + WSGI.format("service")
        + WSGI.format("_hidden")
        + "class config:\n    debug = True\n"
        + "class Asks:\n    @property\n    def app(self): return self.missing\nasks = Asks()\n",
    )
    assert "no attribute 'servise' in attrs; did you mean service?" in str(refusal("attrs:servise"))
    other = str(refusal("attrs:wholly_different"))
    assert other.endswith(
        "no attribute 'wholly_different' in attrs; callables there are Asks, config, service"
    )
    assert "no attribute 'debut' in attrs.config; did you mean debug?" in str(
        refusal("attrs:config.debut")
    )
    assert "neither 'application' nor 'app'" in str(refusal("attrs"))
    assert "looking up 'app' in attrs.asks raised AttributeError: 'Asks'" in str(
        refusal("attrs:asks.app")
    )


def test_whatever_lives_in_a_module_is_looked_at(write: Write) -> None:
    write(
        "zoo.py",
        """
        from flask import Flask, request, session
        from django.utils.functional import SimpleLazyObject
        def fail(*args): raise RuntimeError("touched")
        class Hostile:
            __class__ = property(fail)
            def __getattr__(self, name): fail()
            def __call__(self): fail()
        class Unprintable(Exception):
            def __str__(self): fail()
        hostile, lazy, app = Hostile(), SimpleLazyObject(fail), Flask(__name__)
        """,
    )
    write("asks.py", "def __getattr__(name): raise LookupError(name)\n")
    write("mute.py", "from zoo import Unprintable\nraise Unprintable\n")
    assert str(refusal("zoo:nope")).endswith("no attribute 'nope' in zoo; there is app (Flask)")
    for name in ("request", "hostile", "lazy"):
        assert "not a WSGI or ASGI application" in str(refusal(f"zoo:{name}"))
    assert "asks.py:1: looking up 'app' in asks raised LookupError" in str(refusal("asks:app"))
    assert str(refusal("mute")).startswith("mute.py:2: Unprintable")


def test_not_callable(write: Write) -> None:
    write("things.py", "import os\nnumber = 1\nnothing = None\n")
    assert "it is an int, not a WSGI or ASGI application" in str(refusal("things:number"))
    assert "it is a module" in str(refusal("things:os"))
    assert "it is None" in str(refusal("things:nothing"))
    assert "number is an int and cannot be called" in str(refusal("things:number()"))


def test_callable_that_is_no_application(write: Write) -> None:
    write("calls.py", "def create_app(): pass\ndef one(request): pass\n")
    error = str(refusal("calls:create_app"))
    assert "but create_app()" in error
    assert "if that is a factory, write calls:create_app() or add --factory" in error
    assert "factory" not in str(refusal("calls:one"))


def test_factory_that_fails(write: Write) -> None:
    write(
        "fails.py",
        """
        import functools, sys
        def deep(): raise LookupError("no database")
        def make(): deep()
        def needs(name): return None
        def nothing(): pass
        async def asynchronous(): pass
        def wrong(): return 7
        def leaves(): sys.exit(4)
        def bad_call(): deep(1)
        """,
    )
    error = refusal("fails:make()")
    assert "fails.py:3: LookupError: no database, raised by factory make" in str(error)
    assert error.detail.count('File "') == 2
    assert "does not take these arguments: needs() missing 1" in str(refusal("fails:needs()"))
    assert "does not take" in str(refusal("fails:needs", factory=True))
    assert "fails.py:10: TypeError: deep() takes 0" in str(refusal("fails:bad_call()"))
    assert "returned None" in str(refusal("fails:nothing()"))
    assert "is a coroutine function" in str(refusal("fails:asynchronous()"))
    assert "it is an int" in str(refusal("fails:wrong()"))
    assert "fails.py:9: SystemExit: 4, raised" in str(refusal("fails:leaves()"))


def test_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/first", str(tmp_path)])
    monkeypatch.setenv("PYFORK_TEST_ENTER", "before")
    monkeypatch.chdir("/")
    (tmp_path / "lib").mkdir()
    set_up_path(here(str(tmp_path)), ["lib", "/other"], [("PYFORK_TEST_ENTER", "after")])
    assert Path.cwd() == tmp_path
    assert sys.path == [str(tmp_path / "lib"), "/other", str(tmp_path), "/first"]
    assert os.environ["PYFORK_TEST_ENTER"] == "after"
    with pytest.raises(BootError, match=r"cannot change to directory /nowhere: No such file"):
        set_up_path(here("/nowhere"), ())


def test_log_is_heard_after_the_application_set_its_own_up(write: Write) -> None:
    import logging

    write("quiet.py", "import logging.config\nlogging.config.dictConfig({'version': 1})\n1 / 0")
    ours = logging.getLogger("pyfork.error")
    refusal("quiet")
    assert not ours.disabled
