"""Which application a directory holds, from the sources alone."""

from pathlib import Path

import pytest

from pyfork.loader.discovery import discover

PROJECTS: dict[str, tuple[dict[str, str], list[str]]] = {
    "flask": ({"app.py": "import flask\napp = flask.Flask(__name__)"}, ["app:app"]),
    "another name": ({"main.py": "from fastapi import FastAPI\napi = FastAPI()"}, ["main:api"]),
    "any app": ({"wsgi.py": "application = build()"}, ["wsgi:application"]),
    "a function": ({"asgi.py": "async def app(scope, receive, send): ..."}, ["asgi:app"]),
    "annotated": ({"app.py": "app: Flask = Flask(__name__)"}, ["app:app"]),
    "a factory": ({"app.py": "def create_app(config=None): ..."}, ["app:create_app()"]),
    "a factory that needs more": ({"app.py": "def create_app(config): ..."}, []),
    "made in wsgi.py by a factory": (
        {"app.py": "def create_app(): ...", "wsgi.py": "app = create_app()"},
        ["wsgi:app"],
    ),
    "imported into wsgi.py": (
        {"app.py": "app = Flask('x')", "wsgi.py": "from app import app as application"},
        ["app:app"],
    ),
    "a package": ({"shop/__init__.py": "", "shop/main.py": "app = FastAPI()"}, ["shop.main:app"]),
    "a package itself": ({"shop/__init__.py": "def create_app(): ..."}, ["shop:create_app()"]),
    "fastapi's app/main.py": ({"app/main.py": "app = FastAPI()"}, ["app.main:app"]),
    "django": (
        {
            "manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings.dev')",
            "site/settings/dev.py": "",
            "site/wsgi.py": "application = get_wsgi_application()",
            "site/asgi.py": "application = get_asgi_application()",
            "app.py": "app = 1",
        },
        ["site.wsgi:application"],
    ),
    "both of django": (
        {
            "site/__init__.py": "",
            "site/wsgi.py": "application = get_wsgi_application()",
            "site/asgi.py": "application = get_asgi_application()",
        },
        ["site.wsgi:application"],
    ),
    "two": ({"app.py": "app = Flask('x')", "main.py": "app = 1"}, ["app:app", "main:app"]),
    "a script": ({"main.py": "if __name__ == '__main__':\n    app = Flask('x')"}, []),
    "in a branch": ({"main.py": "try:\n    app = Flask('x')\nexcept OSError: raise"}, ["main:app"]),
    "no python": ({"main.py": "app = ("}, []),
    "nothing": ({}, []),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_discovery(name: str, tmp_path: Path) -> None:
    files, specs = PROJECTS[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert [each.spec for each in discover(str(tmp_path))] == specs
