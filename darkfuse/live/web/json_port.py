"""What AlexeyAB's `-json_port` serves: a JSON list that grows by a frame whenever one was looked at."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from darkfuse.live.web.http import Body, Refused, Request, answer, is_ours
from darkfuse.live.web.hub import Connection, Hub

KEPT = 64  # frames a reader may be behind; of a slower one's list older frames are missing


class JsonPort(Hub):
    """The list on `host`:`port`, at any path, from construction until `close`.

    A reader gets `[`, then from the next frame on an object for each, as the fork's `-out` writes it:
    `frame_id` and `objects`. At the end of the run the list is closed, so that what was received is JSON.

    Raises
    ------
    DarkfuseError
        The address cannot be used.
    """

    OPTION = "--json-port"

    def __init__(self, host: str, port: int) -> None:
        self._frames: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._count = 0
        super().__init__(host, port)

    def add(self, record: Mapping[str, Any]) -> None:
        """Another frame; see `live.Live.record` for what is in it."""
        self._count += 1
        text = json.dumps({"frame_id": record["frame_id"], "objects": record["objects"]})
        self._frames.append((self._count, text.encode()))
        if self._connections:
            self.wake()

    def begin(self, connection: Connection, request: Request) -> Body:
        """See `Hub.begin`."""
        if not is_ours(request.headers.get("host", ""), self._host):
            raise Refused(403)
        if request.method != "GET":
            raise Refused(405, "Allow: GET\r\n")
        return Body(0)

    def serve(self, connection: Connection, request: Request, body: Any) -> None:
        """See `Hub.serve`: the list's beginning."""
        connection.kind, connection.sent = "list", (self._count, False)
        self.queue(connection, answer(200, "application/json", with_length=False) + b"[")

    def refill(self, connection: Connection, now: float) -> None:
        """See `Hub.refill`: every frame since the last one sent."""
        seen, begun = connection.sent
        news = [frame for frame in list(self._frames) if frame[0] > seen]
        if news:
            connection.sent = news[-1][0], True
            pieces = b",\n".join(text for _, text in news)
            self.queue(connection, (b",\n" if begun else b"\n") + pieces)

    def drop(self, connection: Connection) -> None:
        """See `Hub.drop`: at the end of the run the list is closed first."""
        if self._stop and connection.kind == "list" and not connection.out and connection.sock.fileno() >= 0:
            with contextlib.suppress(OSError):  # he has left
                connection.sock.send(b"\n]\n")
        super().drop(connection)
