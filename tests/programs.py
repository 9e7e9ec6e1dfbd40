"""The programs that tests start, and the Debian package of each.

A test that needs one is marked ``needs(NAME)``, or calls `need`. Without the program it is skipped.
With ``TESTS_STRICT=1`` in the environment it fails, unless the package is named in
``TESTS_WITHOUT``, because it cannot be installed.

    python3 -m tests.programs install

installs what is missing, if it runs as root on Debian. It explains on stderr what it could not
install, prints these packages to stdout, for ``TESTS_WITHOUT``, and always succeeds. It
needs no package of Python.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PACKAGES = {
    "bash": "bash",
    "caddy": "caddy",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "curl": "curl",
    "fish": "fish",
    "git": "git",
    "haproxy": "haproxy",
    "libfaketime": "libfaketime",
    "nginx": "nginx",
    "node": "nodejs",
    "openssl": "openssl",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "redis-server": "redis-server",
    "systemd-analyze": "systemd",
    "tmux": "tmux",
    "unshare": "util-linux",
    "valgrind": "valgrind",
    "wrk": "wrk",
    "zsh": "zsh",
}
STRICT, WITHOUT = "TESTS_STRICT", "TESTS_WITHOUT"

_MISSING = re.compile(r"\(Debian: (\S+)\)$")
_LIBRARIES = {"libfaketime": "*/faketime/libfaketimeMT.so.1"}  # below /usr/lib
_APT_SECONDS = 420


def find(name: str) -> str | None:
    """The path of a program or library; None if it is not installed."""
    if pattern := _LIBRARIES.get(name):
        return next(map(str, sorted(Path("/usr/lib").glob(pattern))), None)
    # Debian has servers where only root's PATH looks.
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def need(name: str) -> str:
    """The path of a program or library; skips or fails the test that calls it without it."""
    import pytest

    found, package = find(name), PACKAGES[name]
    if found:
        return found
    message = f"{name} is not installed (Debian: {package})"
    if os.environ.get(STRICT) == "1" and package not in os.environ.get(WITHOUT, "").split():
        raise pytest.fail.Exception(message, pytrace=False)
    raise pytest.skip.Exception(message)


def summary(reasons: Iterable[str]) -> str | None:
    """One line about skipped tests, given the reason of each; None if there are none."""
    reasons = list(reasons)
    missing = [found[1] for reason in reasons if (found := _MISSING.search(reason))]
    parts = []
    if missing:
        packages = " ".join(sorted(set(missing)))
        parts.append(f"{len(missing)} for want of programs (apt-get install {packages})")
    if others := len(reasons) - len(missing):
        parts.append(f"{others} for other reasons (-rs prints them)")
    return f"skipped tests: {', '.join(parts)}" if parts else None


def install() -> list[str]:
    """Install the missing packages where that is possible; the packages that are still missing."""
    if not (missing := _missing()):
        return []
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        _explain(f"not root on Debian: tests go without {' '.join(missing)}")
        return missing
    _apt("update")
    if not _apt("install", *missing):
        # One that is unknown here makes apt-get install none.
        for package in missing:
            _apt("install", package)
    if missing := _missing():
        _explain(f"apt-get cannot install {' '.join(missing)}: tests go without them")
    return missing


def _missing() -> list[str]:
    return sorted({package for name, package in PACKAGES.items() if not find(name)})


def _apt(command: str, *packages: str) -> bool:
    settings = ("Acquire::Retries=1", "Acquire::http::Timeout=20", "DPkg::Lock::Timeout=60")
    options = [f"-o{setting}" for setting in settings]
    words = ["apt-get", "-qq", "-y", "--no-install-recommends", *options, command, *packages]
    # A package that brings a service is not to start it: invoke-rc.d starts none in run level 1.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    try:
        done = subprocess.run(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_APT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _explain(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:] != ["install"]:
        sys.exit("usage: python3 -m tests.programs install")
    print(*install())
