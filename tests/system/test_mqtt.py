"""Home Assistant over a real broker: mosquitto, and paho's subscriber, which knows nothing of us."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import GOLDEN, PICTURE, ask, opened, turning, wait_for

BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
if BROKER is None:
    pytest.skip("mosquitto is not installed", allow_module_level=True)
mqtt = pytest.importorskip("paho.mqtt.client")

from darkfuse.errors import DarkfuseError  # noqa: E402
from darkfuse.live.mqtt import Publisher, slug  # noqa: E402


class Home:
    """A subscriber to everything; `latest` is the last message of each topic."""

    def __init__(self, port: int) -> None:
        self.latest: dict[str, bytes] = {}
        self.history: list[tuple[str, bytes]] = []
        self.ready = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self._came
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(60)

    def _came(self, _client: Any, _data: Any, message: Any) -> None:
        self.latest[message.topic] = message.payload
        self.history.append((message.topic, message.payload))

    def until(self, topic: str, payload: bytes) -> None:
        wait_for(lambda: self.latest.get(topic) == payload)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    process = subprocess.Popen([str(BROKER), "-c", str(config)], stderr=subprocess.DEVNULL)

    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    wait_for(listens)
    yield port
    process.terminate()
    process.wait()


@pytest.fixture
def home(broker: int) -> Iterator[Home]:
    there = Home(broker)
    yield there
    there.client.disconnect()
    there.client.loop_stop()


def test_serve_is_found_and_tells_what_is_seen(broker: int, home: Home) -> None:
    url = f"mqtt://127.0.0.1:{broker}/front door"
    with opened(mqtt=url, answers={"thresh": 0.36}) as serving, turning(serving):
        home.until("darkfuse/front_door/available", b"online")
        home.until("darkfuse/front_door/1/state", b"OFF")
        configs = {topic: json.loads(payload) for topic, payload in home.latest.items()
                   if topic.startswith("homeassistant/")}
        kinds = sorted(topic.split("/")[1] for topic in configs)
        assert kinds == ["binary_sensor"] * (len(configs) - 4) + ["image", "sensor", "sensor", "sensor"]
        for config in configs.values():
            assert config["availability_topic"] == "darkfuse/front_door/available"
            assert config["device"]["identifiers"] == ["darkfuse_front_door"]
        found = ask(serving, "POST", "/detect", PICTURE).json["objects"]
        for name in {one["name"] for one in found}:
            home.until(f"darkfuse/front_door/{slug(name)}/state", b"ON")
        wait_for(lambda: home.latest.get("darkfuse/front_door/image", b"").startswith(b"\xff\xd8\xff"))
        wait_for(lambda: "darkfuse/front_door/figures" in home.latest)
        figures = json.loads(home.latest["darkfuse/front_door/figures"])
        assert figures["fps"] > 0 and figures["memory"] > 10 and figures["budget"] == 1024
    home.until("darkfuse/front_door/available", b"offline")


def test_what_is_no_longer_seen_is_told(broker: int, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkfuse.live.mqtt.CLEAR_S", 0.5)
    with contextlib.ExitStack() as stack:
        publisher = Publisher(f"mqtt://127.0.0.1:{broker}/yard", ["a person", "dog"], stack)
        home.until("darkfuse/yard/available", b"online")
        publisher.see(["a person"], 1.0, None)
        home.until("darkfuse/yard/a_person/state", b"ON")
        assert home.latest.get("darkfuse/yard/dog/state") == b"OFF"
        wait_for(lambda: publisher.clear(None) or home.latest["darkfuse/yard/a_person/state"] == b"OFF")
        assert json.loads(home.latest["darkfuse/yard/figures"])["fps"] == 1.0
        monkeypatch.setattr("darkfuse.live.mqtt.FIGURES_S", 0.1)
        wait_for(lambda: publisher.clear(32 << 20) or b'"fps": 0.0' in home.latest["darkfuse/yard/figures"])
        assert json.loads(home.latest["darkfuse/yard/figures"])["budget"] == 32


def test_a_killed_process_becomes_unavailable(broker: int, home: Home) -> None:
    """The broker says so: that is the last will."""
    command = [sys.executable, "-m", "darkfuse", "serve", str(GOLDEN / "mini-alexeyab.cfg"),
               str(GOLDEN / "mini-alexeyab.weights"), "--http", "0", "--threads", "1", "--log", "off",
               "--mqtt", f"mqtt://127.0.0.1:{broker}/cam"]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(GOLDEN.parent.parent)})
    try:
        home.until("darkfuse/cam/available", b"online")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    home.until("darkfuse/cam/available", b"offline")


def test_demo_tells_too(broker: int, home: Home, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from video import make_video

    film = make_video(tmp_path / "film.avi", 6)
    command = [sys.executable, "-m", "darkfuse", "demo", "--video", str(film), "--no-window", "--threads",
               "1", "--mqtt", f"mqtt://127.0.0.1:{broker}/film"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(GOLDEN.parent.parent)},
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    home.until("darkfuse/film/available", b"offline")
    assert ("darkfuse/film/available", b"online") in home.history
    assert any(topic.startswith("homeassistant/image/") for topic in home.latest)


@pytest.mark.parametrize("url", ["", "broker", "http://broker", "mqtt://", "mqtt://broker:x"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(DarkfuseError, match="--mqtt"), contextlib.ExitStack() as stack:
        Publisher(url, [], stack)
