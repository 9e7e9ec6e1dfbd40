"""What the first word of a command line means, before anything is bound."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

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
