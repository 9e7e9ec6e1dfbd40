"""The pages on moving over: their tables are up to date, and their examples load."""

import re
from pathlib import Path

import pytest

from pyfork.config.command_line.arguments import parse
from pyfork.config.compat.docs import PAGES, filled
from pyfork.config.config import SETTINGS, Config
from pyfork.config.load import load
from pyfork.config.settings.hooks import HookSettings
from pyfork.hooks.objects import HookServer, HookWorker
from pyfork.hooks.requests import HookRequest, HookResponse

DOCS = Path(__file__).parents[2] / "docs"
PYTHON = DOCS / "configuration.md"


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_are_up_to_date(name: str) -> None:
    page = (DOCS / name).read_text()
    assert page == filled(page, PAGES[name]()), "run: python -m pyfork.config.compat.docs"


def test_the_example_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PYTHON.read_text(), re.DOTALL)
    (tmp_path / "pyfork.conf.py").write_text(example)
    loaded = load(parse([]), {}, tmp_path)
    assert loaded.config.app == "shop.wsgi"
    assert loaded.config.post_worker_init is not None
    assert loaded.notes == ()


def test_every_hook_is_explained_with_its_parameters() -> None:
    page = PYTHON.read_text()
    for name in vars(HookSettings):
        if not name.startswith("_"):
            parameters = SETTINGS[name].kind.expects.partition("(")[2].rstrip(")")
            assert f"| `{name}({parameters})` |" in page


def test_whatever_hooks_are_given_is_explained_and_there() -> None:
    told = PYTHON.read_text().partition("### Objects that hooks get")[2]
    config = Config(app="a:b")
    request = HookRequest(
        method="GET", uri="/a?b", version="1.1", headers=[("HOST", "x")], remote_addr="", scheme=""
    )
    things = {
        "server": HookServer(config, lambda: 1),
        "worker": HookWorker(config, age=1, slot=0, generation=1),
        "req": request,
        "resp": HookResponse(404, [], 0),
    }
    for name, thing in things.items():
        (part,) = re.findall(rf"^`{name}`(.*?)(?=^`|\n\n[A-Z])", told, re.DOTALL | re.MULTILINE)
        public = {each for each in dir(thing) if not each.startswith("_")} - {
            "of_environ",
            "of_scope",
            "server",
        }
        missing = {each for each in public if not re.search(rf"`{each}[`.]", part)}
        assert not missing
    assert (request.path, request.query, str(request)) == ("/a", "b", "GET /a?b")
    assert things["resp"].status == "404 Not Found"
    assert things["server"].cfg.accesslog is None
    assert things["server"].cfg.keepalive == config.keep_alive
    with pytest.raises(AttributeError, match="no setting has the name nothing"):
        _ = things["server"].cfg.nothing
