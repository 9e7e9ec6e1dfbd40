"""Words of a command line that are not pyfork's, before anything is bound."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from pyfork.config.command_line.arguments import parse
from pyfork.config.config import Config
from pyfork.errors import ConfigError
from pyfork.loader import first_word


class Editable:
    """The finder that an editable install puts into `sys.meta_path`."""

    @staticmethod
    def find_spec(name: str, path: object, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, None, origin="shop.py") if name in ("shop", "relod") else None


def test_an_editable_install_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for word in ("shop", "relod"):
        with pytest.raises(ConfigError):
            first_word.refuse_missing(Config(app=word), str(tmp_path), ["reload"])
    with pytest.raises(ConfigError, match="did you mean pyfork reload"):
        first_word.refuse_command(["relod"], ["reload"])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Editable])
    for word in ("shop", "relod"):
        first_word.refuse_missing(Config(app=word), str(tmp_path), ["reload"])
        first_word.refuse_command([word], ["reload"])


@pytest.mark.parametrize(
    ("flag", "advice"),
    [
        ("--watch", "here it is --reload"),
        (
            "--debug",
            "for errors and reloads, write --reload; for more in the log, --log-level debug",
        ),
        (
            "--static-path-mount",
            "pyfork serves no static files; a proxy does, or WhiteNoise (Flask, Django) or "
            "StaticFiles (Starlette, FastAPI) in the application",
        ),
    ],
)
def test_a_flag_of_another_server(flag: str, advice: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(["shop:app", flag, "x"])
    assert str(refused.value) == f"{flag}: no such option: {advice}"


def test_the_name_of_a_standard_module_may_be_a_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="stat: no such command; did you mean pyfork status"):
        first_word.refuse_command(["stat"], ["status"])
