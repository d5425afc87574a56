"""One line a request, on standard error: for people, or as JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from darkfuse.host import process

_HEAD = ("time", "client", "status", "method", "path")


class Log:
    """Writes what was asked and how it went; `style` is 'text', 'json' or 'off'."""

    def __init__(self, style: str) -> None:
        self._style = style

    def write(self, connection: Any, call: Any, status: int) -> None:
        """A request was answered; `call` is None where it could not be read."""
        if self._style == "off":
            return
        request = call.request if call is not None else None
        job = call.job if call is not None else None
        facts: dict[str, Any] = {
            "time": round(time.time(), 3), "client": connection.address, "status": status,
            "method": request.method if request else None, "path": request.path[:200] if request else None,
            "ms": round((time.monotonic() - connection.began) * 1000, 1),
        }
        if job is not None:
            facts["camera"] = job.camera
            facts.update({f"{stage}_ms": round(value * 1000, 1) for stage, value in job.seconds.items()
                          if stage != "total"})
            facts["objects"] = job.objects
        if call is not None and call.picture is not None:
            facts["bytes"] = call.picture.size
        if self._style == "json":
            facts["memory"] = process.rss_bytes()
            line = json.dumps(facts, separators=(",", ":"))
        else:
            more = "".join(f" {name}={value}" for name, value in facts.items()
                           if name not in _HEAD and value is not None)
            stamp = time.strftime("%H:%M:%S")
            what = f"{facts['method']} {ascii(facts['path'])[1:-1]}" if request else "-"
            line = f"{stamp} {facts['client']} {what} {status}{more}"
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):  # whoever read it has gone: the service goes on
            self._style = "off"
