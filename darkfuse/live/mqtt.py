"""Home Assistant over MQTT: what cameras see, announced so that it appears there by itself.

Of each class a binary sensor (is one to be seen?), an image with the boxes, and sensors for frames a second,
memory and its budget. Topics stand below `darkfuse/NAME/`; discovery below `homeassistant/`. When the process
ends, however it ends, everything becomes unavailable: that is the broker's last word for it.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import darkfuse
from darkfuse.errors import DarkfuseError
from darkfuse.host import process
from darkfuse.host.extras import need

mqtt: Any = need("paho.mqtt.client", "--mqtt")

FIGURES_S = 5.0  # between two tellings of frames a second and memory
IMAGE_S = 2.0  # between two pictures
CLEAR_S = 5.0  # a class is seen until it was not for so long
MOST_CLASSES = 100
RETRY_S = (1, 60)  # first and longest pause before it connects again
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Client(mqtt.Client):  # type: ignore[misc]
    """paho's client, whose thread goes on after an answer that is no MQTT.

    Before its version 2.2 its parser raises `struct.error` and others where a packet is too short, and its
    thread would end there with a traceback: nothing would be told any more.
    """

    def __init__(self, name: str) -> None:
        super().__init__(mqtt.CallbackAPIVersion.VERSION2, client_id=name)
        self.ended = threading.Event()

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> Any:
        """What paho's thread runs: connects anew, after a pause, where its own loop gave up."""
        while True:
            try:
                return super().loop_forever(timeout, retry_first_connection)
            except Exception:
                if self.ended.wait(RETRY_S[0]):
                    return None
                with contextlib.suppress(OSError):
                    self.reconnect()


class Publisher:
    """Tells a broker what is seen. Connects, and reconnects, in a thread of its own; never blocks detection.

    Parameters
    ----------
    url : str
        `mqtt[s]://[user:password@]host[:port][/name]`; the name tells several of these apart.
    classes : sequence of str
        Class names, in order.
    stack : ExitStack
        What closes it.

    Raises
    ------
    DarkfuseError
        It is no such address, or the client library is not installed.
    """

    def __init__(self, url: str, classes: Sequence[str], stack: contextlib.ExitStack) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise DarkfuseError("--mqtt: write it like mqtt://user:password@broker.local:1883/name")
        self.name = slug(parts.path.strip("/") or socket.gethostname())
        self.base = f"darkfuse/{self.name}"
        self._classes = [(name, slug(name)) for name in list(classes)[:MOST_CLASSES]]
        self._seen: dict[str, float] = {}
        self._shown: dict[str, bool] = {}
        self._figures_at = self._image_at = 0.0
        self._lock = threading.Lock()
        self._client = Client(f"darkfuse-{self.name}")
        self._client.max_queued_messages_set(100)
        if parts.username is not None:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set()
        self._client.will_set(f"{self.base}/available", "offline", qos=1, retain=True)
        self._client.on_connect = self._connected
        self._client.reconnect_delay_set(*RETRY_S)
        self._client.connect_async(parts.hostname, port or _PORTS[parts.scheme], keepalive=30)
        self._client.loop_start()
        stack.callback(self.close)

    def see(self, found: Iterable[str], frames_a_second: float, budget: int | None) -> None:
        """A frame was looked at, and these classes were found in it."""
        now = time.monotonic()
        with self._lock:
            for name in found:
                self._seen[name] = now
            for name, topic in self._classes:
                on = now - self._seen.get(name, -CLEAR_S) < CLEAR_S
                if self._shown.get(topic) != on:
                    self._shown[topic] = on
                    self._say(f"{topic}/state", "ON" if on else "OFF")
            if now - self._figures_at < FIGURES_S:
                return
            self._figures_at = now
        self._tell(frames_a_second, budget)

    def _tell(self, frames_a_second: float, budget: int | None) -> None:
        megabyte = 1 << 20
        self._say("figures", json.dumps({
            "fps": round(frames_a_second, 2), "memory": round((process.rss_bytes() or 0) / megabyte, 1),
            "budget": None if budget is None else round(budget / megabyte, 1)}))

    def clear(self, budget: int | None) -> None:
        """No frame came: what is no longer seen is told all the same, and figures. Call now and then."""
        with self._lock:
            now = time.monotonic()
            gone = [(name, topic) for name, topic in self._classes
                    if self._shown.get(topic) and now - self._seen.get(name, 0.0) >= CLEAR_S]
            for _, topic in gone:
                self._shown[topic] = False
                self._say(f"{topic}/state", "OFF")
            idle = self._figures_at and now - self._figures_at >= 2 * FIGURES_S
            if idle:
                self._figures_at = now
        if idle:
            self._tell(0.0, budget)

    def wants_image(self) -> bool:
        """Whether it is time for another picture."""
        return self._client.is_connected() and time.monotonic() - self._image_at >= IMAGE_S

    def show(self, jpeg: Any) -> None:
        """A picture with its boxes."""
        self._image_at = time.monotonic()
        self._say("image", bytes(jpeg))

    def close(self) -> None:
        """Say goodbye; what a broker that does not answer should still have is given up."""
        self._client.ended.set()
        with contextlib.suppress(ValueError, RuntimeError):
            if self._client.is_connected():
                self._client.publish(f"{self.base}/available", "offline", qos=1,
                                     retain=True).wait_for_publish(2.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _say(self, topic: str, payload: Any) -> None:
        self._client.publish(f"{self.base}/{topic}", payload, qos=0, retain=True)

    def _connected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any = None) -> None:
        """Announce everything, on every connection: a broker may have forgotten."""
        if getattr(reason, "is_failure", False):
            return
        for topic, config in discovery(self.name, self.base, self._classes):
            self._client.publish(topic, json.dumps(config), qos=1, retain=True)
        self._client.publish(f"{self.base}/available", "online", qos=1, retain=True)
        with self._lock:
            for _, topic in self._classes:
                self._shown[topic] = self._shown.get(topic, False)
                self._say(f"{topic}/state", "ON" if self._shown[topic] else "OFF")


def discovery(name: str, base: str, classes: Sequence[tuple[str, str]]) -> list[tuple[str, dict[str, Any]]]:
    """Home Assistant's discovery messages: (topic, configuration) of each entity.

    Source: its MQTT integration's documentation of discovery, `binary_sensor`, `image` and `sensor`.
    """
    device = {"identifiers": [f"darkfuse_{name}"], "name": f"darkfuse {name}", "manufacturer": "darkfuse",
              "sw_version": darkfuse.__version__}

    def entity(kind: str, key: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        unique = f"darkfuse_{name}_{key}"
        common = {"unique_id": unique, "object_id": unique, "device": device,
                  "availability_topic": f"{base}/available"}
        return f"homeassistant/{kind}/{unique}/config", {**config, **common}

    found = [entity("binary_sensor", topic, {"name": title, "state_topic": f"{base}/{topic}/state",
                                             "device_class": "occupancy"}) for title, topic in classes]
    found.append(entity("image", "image", {"name": "picture", "image_topic": f"{base}/image",
                                           "content_type": "image/jpeg"}))
    for key, title, unit in (("fps", "frames a second", "fps"), ("memory", "memory", "MiB"),
                             ("budget", "memory budget", "MiB")):
        config = {"name": title, "state_topic": f"{base}/figures", "unit_of_measurement": unit,
                  "value_template": f"{{{{ value_json.{key} }}}}", "state_class": "measurement",
                  "entity_category": "diagnostic"}
        if unit == "MiB":
            config["device_class"] = "data_size"
        found.append(entity("sensor", key, config))
    return found


def classes_of(net: Any) -> list[str]:
    """What a network calls its classes: their numbers where it has no names."""
    from darkfuse.detect.decode import class_count

    return list(net.names) or [str(number) for number in range(class_count(net.graph))]


def slug(text: str) -> str:
    """A name as topics may hold it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_")[:64] or "camera"
