"""An elastic budget: what memory the network may have follows what there is, between two pictures.

Asked for by `POST /budget` or a signal (SIGUSR1: down to the least, SIGUSR2: up to the most), the budget goes
where it was asked to and does not grow beyond. Within that it goes down a step when others wait for memory or
a limit comes near, and up again when that has been over for a while.
"""

from __future__ import annotations

import json
import signal
import threading
from typing import Any, Callable

from darkfuse.errors import DarkfuseError
from darkfuse.host import pressure
from darkfuse.host.units import format_bytes, parse_bytes
from darkfuse.live.serve.form import JSON, Route, Told, told
from darkfuse.live.web.http import Refused, Request

STALLED, CALM = 10.0, 1.0  # percent of the time somebody waits for memory: too much, and nothing
NEAR_BYTES = 8 << 20  # what has to stay free beside this process
LOOK_S, SETTLE_S, GROW_S = 0.5, 3.0, 15.0  # between looks; after a step down; without pressure before one up


class Elastic:
    """Decides what the network keeps to. Its routes and signals only note wishes; `step` carries them out.

    Parameters
    ----------
    net : Network
        Loaded with an elastic budget; with any other nothing ever changes.
    wake : callable
        Has the loop that calls `step` come round.
    room, stalled : callable
        What this process may have, and percent of the time somebody waits; see `host.pressure`.
    """

    def __init__(self, net: Any, wake: Callable[[], None],
                 room: Callable[[], int | None] = pressure.room_bytes,
                 stalled: Callable[[], float | None] = pressure.stalled) -> None:
        self._net, self._wake, self._room, self._stalled = net, wake, room, stalled
        self.totals = [rung.budget.total or 0 for rung in net.rungs]
        self.most = self.totals[-1]  # what was asked for: it grows no further
        self.changes = 0
        self._wish: int | None = None
        self._looked = self._changed = self._calm_since = 0.0

    def wish(self, total: int) -> int:
        """Note what it is to keep to from the next picture on, any thread; gives the step that will be."""
        self._wish = total
        self._wake()
        return max([one for one in self.totals if one <= total], default=self.totals[0])

    def step(self, now: float) -> None:
        """Between two pictures: keep to what was asked for, and to what there is."""
        if self._wish is not None:
            wish, self._wish = self._wish, None
            self.most = max(wish, self.totals[0])
            self._keep(self.most, now)
        elif len(self.totals) > 1 and now - self._looked >= LOOK_S:
            self._looked = now
            self._follow(now)

    def _follow(self, now: float) -> None:
        current, room, stalled = self._net.budget.total, self._room(), self._stalled() or 0.0
        left = None if room is None else room - NEAR_BYTES
        if left is not None and left < current and current > self.totals[0]:
            self._keep(left, now)
        elif stalled > STALLED:
            self._calm_since = now
            if current > self.totals[0] and now - self._changed >= SETTLE_S:
                self._keep(current - 1, now)
        elif stalled > CALM:
            self._calm_since = now
        elif now - max(self._calm_since, self._changed) >= GROW_S:
            above = [one for one in self.totals if current < one <= self.most]
            if above and (left is None or above[0] <= left):
                self._keep(above[0], now)

    def _keep(self, total: int, now: float) -> None:
        before = self._net.budget.total
        if self._net.keep_to(total) != before:
            self.changes += 1
            self._changed = self._calm_since = now

    def routes(self) -> list[Route]:
        """Where the budget is asked for and told."""
        schema: dict[str, Any] = {"type": "object", "required": ["mem"],
                  "properties": {"mem": {"type": "string", "description": "An amount of memory, like 48M."}}}
        return [Route("GET", "/budget", "What memory the network keeps to.", self._told),
                Route("POST", "/budget", "Have it keep to another.", self._asked, takes=True,
                      parameters=schema)]

    def listen(self) -> list[tuple[int, Any]]:
        """Take the signals; gives what they did before. Nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return []
        wishes = {signal.SIGUSR1: self.totals[0], signal.SIGUSR2: self.totals[-1]}
        return [(number, signal.signal(number, lambda *_, total=total: self.wish(total)))
                for number, total in wishes.items()]

    def _told(self, _request: Request) -> Told:
        return told({"budget": self._net.budget.total, "steps": self.totals})

    def _asked(self, request: Request, body: bytes) -> Told:
        # a form on another page cannot send this type without asking first, and is never allowed to
        if request.headers.get("content-type", "").partition(";")[0].strip() != JSON:
            raise Refused(415)
        try:
            total = parse_bytes(json.loads(body)["mem"])
        except DarkfuseError as error:
            raise Refused(400, message=str(error)) from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Refused(400, message='what is wanted is {"mem": "48M"}') from None
        if len(self.totals) == 1:
            raise Refused(409, message="the budget is not elastic; start with --mem 32M..128M")
        if total < self.totals[0]:
            raise Refused(400, message=f"the least is {format_bytes(self.totals[0])}")
        return told({"budget": self.wish(total), "steps": self.totals})
