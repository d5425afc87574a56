"""Telling a service manager that a service is ready and alive (systemd's sd_notify protocol)."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> bool:
    """Send `READY=1`, `WATCHDOG=1` or `STOPPING=1`; False, and nothing is sent, where nobody listens."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return False
    if place.startswith("@"):
        place = "\0" + place[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(state.encode(), place)
        return True
    return False
