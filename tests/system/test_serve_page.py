"""The page of `darkfuse serve` in a real browser: a photo dropped on it is looked at."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from browser import Browser, programs
from serving import PICTURE, ask, opened, turning

DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), one => one.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], "photo.png", {type: "image/png"}));
document.getElementById("drop").dispatchEvent(
  new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
"""


@pytest.mark.skipif(programs() is None, reason="Chromium and chromedriver are not installed")
def test_a_photo_dropped_on_the_page_is_looked_at(tmp_path: Path) -> None:
    with opened(answers={"thresh": 0.36}) as serving, turning(serving), \
            Browser(tmp_path, 420, 900) as browser:
        expected = len(ask(serving, "POST", "/detect", PICTURE).json["objects"])
        browser.open(serving.door.url)
        browser.run(DROP, base64.b64encode(PICTURE).decode())
        browser.wait("return document.querySelectorAll('#boxes .box').length == arguments[0]", expected)
        assert browser.run("return document.querySelectorAll('#table tbody tr').length") == expected > 0
        assert browser.text("#said").startswith(f"{expected} object")
        browser.run(DROP, base64.b64encode(b"no picture").decode())
        browser.wait("return document.getElementById('said').className == 'bad'")
        assert "not a JPEG" in browser.text("#said")
        assert browser.run("return document.documentElement.scrollWidth") <= 500  # nothing hangs over
