"""Messages that nobody should send to `serve --zmq` and to the MQTT client, and that end neither's thread."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import opened, turning

HEAD = {"dtype": "uint8", "shape": [1, 4, 4, 3]}
NOTHING = bytes(480)


@contextlib.contextmanager
def peer(folder: Path) -> Iterator[Callable[[list[bytes]], bytes | None]]:
    """Asks a running detector; None where it does not answer because it hangs up."""
    zmq = pytest.importorskip("zmq")
    with opened(zmq=f"ipc://{folder}/detector") as serving, turning(serving), zmq.Context() as context:
        def ask(parts: list[bytes], wait_s: float = 60.0) -> bytes | None:
            with context.socket(zmq.REQ) as asking:
                asking.setsockopt(zmq.LINGER, 0)
                asking.setsockopt(zmq.RCVTIMEO, int(wait_s * 1000))
                asking.connect(serving.frigate.endpoint)
                asking.send_multipart(parts)
                try:
                    answer: bytes = asking.recv()
                except zmq.Again:
                    return None
                return answer

        yield ask


def head(**other: Any) -> bytes:
    return json.dumps({**HEAD, **other}).encode()


def test_shapes_that_are_no_numbers_find_nothing(tmp_path: Path) -> None:
    endless = b'{"shape": [1, 1e999, 4, 3], "dtype": "uint8"}'
    with peer(tmp_path) as ask:
        for first in (endless, head(shape=[1, 4, 4, -3]), head(shape=None), b" " * 5000 + head()):
            assert ask([first, bytes(48)]) == NOTHING
        assert ask([head(), bytes(48), b"a third part"]) == ask([head(), bytes(48)])
        assert ask([head(), bytes(47), bytes(48)]) == NOTHING


def test_a_part_beyond_the_limit_is_not_taken(tmp_path: Path) -> None:
    from darkfuse.live.serve.zmq import MOST_BYTES

    with peer(tmp_path) as ask:
        assert ask([head(), bytes(MOST_BYTES)]) == NOTHING
        assert ask([head(), bytes(MOST_BYTES + 1)], 0.5) is None
        assert json.loads(ask([b'{"model_request": true}']) or b"{}")["model_loaded"]


def test_the_client_connects_again_after_an_error_of_its_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("paho.mqtt.client")
    from darkfuse.live import mqtt

    failed: list[bool] = []
    handled = mqtt.mqtt.Client._packet_handle

    def once_wrong(client: Any) -> Any:
        if not failed:
            failed.append(True)
            raise ValueError("no packet of MQTT")
        return handled(client)

    monkeypatch.setattr(mqtt, "RETRY_S", (0.01, 0.01))
    monkeypatch.setattr(mqtt.mqtt.Client, "_packet_handle", once_wrong)
    with socket.create_server(("127.0.0.1", 0)) as broker, contextlib.ExitStack() as stack:
        broker.settimeout(60)
        mqtt.Publisher(f"mqtt://127.0.0.1:{broker.getsockname()[1]}/test", ["cat"], stack)
        for _ in range(2):
            connection, _ = broker.accept()
            with connection:
                connection.settimeout(60)
                assert connection.recv(1) == b"\x10"  # CONNECT
                connection.sendall(b"\x20\2\0\0")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
    assert failed
