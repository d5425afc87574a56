"""What a service manager is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from serving import opened

from darkfuse.host.notify import notify
from darkfuse.live.serve import run


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for place in ("", "relative", str(tmp_path / "none")):
        monkeypatch.setenv("NOTIFY_SOCKET", place)
        assert not notify("READY=1")


def test_a_service_tells_that_it_is_ready_and_alive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "ALIVE_S", 0.0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with opened() as serving:
            assert manager.recv(100) == b"READY=1"
            serving.turn(0)
            assert manager.recv(100) == b"WATCHDOG=1"
