"""What every form of the service shares: health, readiness, metrics, its description and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import darkfuse
from darkfuse.host import process
from darkfuse.live.serve.form import Route, Told, told
from darkfuse.live.serve.metrics import KIND, Metrics
from darkfuse.live.web.http import Request

CGROUP_OFF = (b"<p>The kernel's memory cgroup is off here: MemoryMax= and limits of containers do nothing. "
              b"Add <code>cgroup_enable=memory cgroup_memory=1</code> to cmdline.txt.</p>")
TEXT = "text/plain; charset=utf-8"


class Service:
    """Routes about the service itself.

    Parameters
    ----------
    metrics : Metrics
    secret : bool
        Whether a token is asked for.

    Attributes
    ----------
    gauges : callable
        What holds now, see `Metrics.text`.
    ready : callable
        Whether pictures are taken.
    """

    def __init__(self, metrics: Metrics, secret: bool) -> None:
        self._metrics, self._secret = metrics, secret
        self.gauges: Callable[[], dict[str, Any]] = dict
        self.ready: Callable[[], bool] = lambda: False
        self._page = (Path(__file__).parent / "page.html").read_bytes()
        self._described: list[Route] = []

    def routes(self) -> list[Route]:
        """Their addresses."""
        text: dict[str, dict[str, Any]] = {"text/plain": {"type": "string"}}
        html: dict[str, dict[str, Any]] = {"text/html": {"type": "string"}}
        return [
            Route("GET", "/healthz", "Whether the process answers.", self.healthz, open=True, gives=text),
            Route("GET", "/readyz", "Whether the network is loaded.", self.readyz, open=True, gives=text),
            Route("GET", "/metrics", "Figures for Prometheus.", self.metrics, gives=text),
            Route("GET", "/openapi.json", "This description.", self.openapi, open=True),
            Route("GET", "/", "A page to try it with.", self.page, open=True, gives=html),
        ]

    def describe(self, routes: list[Route]) -> None:
        """Have `/openapi.json` describe these."""
        self._described = routes

    def healthz(self, _request: Request) -> Told:
        """`ok`, whatever the network does."""
        return Told(200, TEXT, b"ok\n")

    def readyz(self, _request: Request) -> Told:
        """`ready`, or 503 while the network is being loaded."""
        return Told(200, TEXT, b"ready\n") if self.ready() else Told(503, TEXT, b"loading\n")

    def metrics(self, _request: Request) -> Told:
        """The figures."""
        memory = {"now": process.rss_bytes(), "peak": process.peak_rss_bytes()}
        gauges = self.gauges()
        gauges["memory_bytes"] = ("Memory of this process.", {**memory, **gauges.pop("memory", {})})
        return Told(200, KIND, self._metrics.text(gauges))

    def openapi(self, _request: Request) -> Told:
        """The description."""
        from darkfuse.live.serve.openapi import description

        return told(description(self._described, darkfuse.__version__, self._secret))

    def page(self, _request: Request) -> Told:
        """The page."""
        note = CGROUP_OFF if process.memory_cgroup_is_off() else b""
        return Told(200, "text/html; charset=utf-8", self._page.replace(b"<!-- note -->", note))
