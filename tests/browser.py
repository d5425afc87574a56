"""A real Chromium without a screen, driven over the WebDriver protocol of its own chromedriver."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--hide-scrollbars")


def programs() -> tuple[str, str] | None:
    """Paths of Chromium and chromedriver, None where they are not installed."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """One browser with a profile of its own in `folder`."""

    def __init__(self, folder: Path, width: int = 1280, height: int = 860) -> None:
        browser, driver = programs() or ("", "")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)
        self._at = f"http://127.0.0.1:{port}/session"
        flags = [*FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
        wish = {"browserName": "chrome", "goog:chromeOptions": {"binary": browser, "args": flags}}
        until = time.monotonic() + 60
        while True:
            try:
                made = self._call("", {"capabilities": {"alwaysMatch": wish}})
                break
            except OSError:
                if time.monotonic() > until:
                    self._process.kill()
                    raise
                time.sleep(0.1)
        self._at += "/" + made["sessionId"]

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._call("", None, "DELETE")
        finally:
            self._process.terminate()
            self._process.wait(10)

    def open(self, url: str) -> None:
        self._call("/url", {"url": url})

    def reload(self) -> None:
        self._call("/refresh", {})

    def run(self, script: str, *arguments: Any) -> Any:
        """What the script returns."""
        return self._call("/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, css: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent", css))

    def click(self, css: str) -> None:
        """Move the mouse there and press it, as a person does."""
        found = self._call("/element", {"using": "css selector", "value": css})
        self._call(f"/element/{next(iter(found.values()))}/click", {})

    def keys(self, css: str, text: str) -> None:
        """Type into an element."""
        found = self._call("/element", {"using": "css selector", "value": css})
        self._call(f"/element/{next(iter(found.values()))}/value", {"text": text})

    def wait(self, script: str, *arguments: Any, seconds: float = 30) -> Any:
        """Wait until the script returns something true; gives that."""
        until = time.monotonic() + seconds
        while True:
            got = self.run(script, *arguments)
            if got:
                return got
            if time.monotonic() > until:
                raise AssertionError(f"still not so after {seconds} s: {script}")
            time.sleep(0.1)

    def screenshot(self) -> bytes:
        return base64.b64decode(self._call("/screenshot", None, "GET"))

    def resize(self, width: int, height: int) -> None:
        self._call("/window/rect", {"width": width, "height": height})

    def wear(self, scheme: str, width: int, height: int) -> None:
        """Look as a system does that is 'light' or 'dark', with a page of that size."""
        for command, settings in (
                ("setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
                ("setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1,
                                              "mobile": width < 600})):
            self._call("/goog/cdp/execute", {"cmd": f"Emulation.{command}", "params": settings})

    def _call(self, path: str, body: Any, method: str = "POST") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._at + path, data, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode(errors="replace")) from None
