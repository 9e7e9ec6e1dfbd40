"""A test whose program is not installed is skipped, or fails where programs are expected."""

import re
from pathlib import Path

import pytest

from tests import programs

TESTS = Path(__file__).parent


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program can be found, and nothing else is said in the environment."""
    monkeypatch.setattr(programs, "find", lambda name: None)
    monkeypatch.delenv(programs.STRICT, raising=False)
    monkeypatch.delenv(programs.WITHOUT, raising=False)


@pytest.mark.usefixtures("nothing")
def test_without_its_program_a_test_is_skipped() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"node is not installed \(Debian: nodejs\)"):
        programs.need("node")


@pytest.mark.usefixtures("nothing")
def test_where_programs_are_expected_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(programs.STRICT, "1")
    monkeypatch.setenv(programs.WITHOUT, "wrk fish")
    with pytest.raises(pytest.fail.Exception, match="node is not installed"):
        programs.need("node")
    with pytest.raises(pytest.skip.Exception, match="wrk is not installed"):
        programs.need("wrk")


def test_one_line_names_the_packages() -> None:
    reasons = ["Skipped: node is not installed (Debian: nodejs)"] * 2
    reasons += ["Skipped: wrk is not installed (Debian: wrk)", "needs root"]
    line = "3 for want of programs (apt-get install nodejs wrk), 1 for other reasons"
    assert line in (programs.summary(reasons) or "")
    assert programs.summary([]) is None


def test_each_program_that_tests_look_for_has_its_package() -> None:
    here = {Path(__file__), Path(programs.__file__)}
    for file in set(TESTS.rglob("*.py")) - here:
        text = file.read_text()
        if file.parent.name != "bench":  # it names the packages of its own programs
            assert "shutil.which(" not in text, f"{file}: use tests.programs"
        for words in re.findall(r"mark\.needs\(([^)]*)\)", text):
            assert set(re.findall(r'"([^"]+)"', words)) <= programs.PACKAGES.keys(), file


def test_the_files_that_begin_first_exist() -> None:
    for name in (TESTS / "longest_files.txt").read_text().split():
        assert (TESTS / f"{name}.py").is_file(), name
