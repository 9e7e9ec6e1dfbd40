"""Chromium, driven by chromedriver's HTTP interface (W3C WebDriver)."""

import json
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.harness.ports import free_port

PATIENCE = 25.0  # seconds

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """One window."""

    def __init__(self, driver: str, chromium: str, profile: Path) -> None:
        self._port = free_port()
        self._chromium = chromium
        self._profile = profile
        self._session = ""
        self._driver = driver
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> "Browser":
        self._process = subprocess.Popen(
            [self._driver, f"--port={self._port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        options = {
            "binary": self._chromium,
            "args": [*ARGUMENTS, f"--user-data-dir={self._profile}"],
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            self._wait()
            value = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self._session = f"/session/{value['sessionId']}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._ask("DELETE", self._session)
        finally:
            self._process.terminate()
            self._process.wait(PATIENCE)

    def open(self, url: str) -> None:
        """Go there, and wait until the page is loaded."""
        if self.run("return location.href") == url:
            self._ask("POST", f"{self._session}/refresh", {})
        else:
            self._ask("POST", f"{self._session}/url", {"url": url})

    def text(self) -> str:
        """What a person sees."""
        return str(self.run("return document.body ? document.body.innerText : ''"))

    def run(self, script: str) -> Any:
        """What a script returns."""
        body = {"script": script, "args": []}
        return self._ask("POST", f"{self._session}/execute/sync", body)

    def complaints(self) -> list[str]:
        """What it has to say against the pages, but for the answers' status."""
        said = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        texts = [each["message"] for each in said if each["level"] in ("SEVERE", "WARNING")]
        return [text for text in texts if "status of 500" not in text and "favicon" not in text]

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._ask("GET", "/status")
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "chromedriver does not answer"
                time.sleep(0.02)
            else:
                return

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        assert not (isinstance(value, dict) and "error" in value), value
        return value
