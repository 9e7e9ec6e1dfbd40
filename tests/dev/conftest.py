"""A project to edit."""

from pathlib import Path

import pytest

from tests.dev.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    directory = tmp_path / "project"
    directory.mkdir()
    return Project(directory)
