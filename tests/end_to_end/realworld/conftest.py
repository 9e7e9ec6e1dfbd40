"""What several applications share."""

import subprocess
import sys

import pytest

from tests.harness.server import ROOT, environment


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a project that is ready to serve."""
    directory = tmp_path_factory.mktemp("shop")
    env = {"SHOP_DIRECTORY": str(directory)}
    command = [sys.executable, "-m", "tests.end_to_end.realworld.apps.shop.prepare"]
    subprocess.run(command, cwd=ROOT, env=environment() | env, check=True)
    return env
