"""The door: finds the form a request speaks, keeps strangers out, lets pictures queue, sends answers."""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from darkfuse.errors import DarkfuseError
from darkfuse.live.serve.form import Ask, Route, Told, query, told
from darkfuse.live.serve.log import Log
from darkfuse.live.serve.metrics import Metrics
from darkfuse.live.serve.queue import Job, Queue
from darkfuse.live.serve.upload import Upload
from darkfuse.live.web.http import Body, Refused, Request, answer, is_ours
from darkfuse.live.web.hub import Connection, Hub

SMALL_BODY = 4096  # of requests without a picture
HELD_BYTES = 64 << 20  # of pictures on their way in, on disk
OUT_BYTES = 4 << 20  # of answers not yet sent
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
GRACE_S = 1.0  # a deadline is the queue's first, then the connection's


class Call:
    """A request on its way through: who asked, by which route, for what."""

    __slots__ = ("connection", "route", "request", "ask", "picture", "job", "began", "queued")

    def __init__(self, connection: Connection, route: Route, request: Request) -> None:
        self.connection, self.route, self.request = connection, route, request
        self.ask: Ask | None = None
        self.picture: Any = None
        self.job: Job | None = None
        self.began = self.queued = time.monotonic()

    def close(self) -> None:
        """Let the picture go."""
        if self.picture is not None:
            self.picture.close()


class Door(Hub):
    """The service on `host`:`port`; see `Hub`.

    Attributes
    ----------
    ready : bool
        Whether the network is loaded; pictures are refused until then.
    frame_s : float
        What a picture takes at the moment, for `Retry-After`.
    """

    def __init__(self, host: str, port: int, routes: list[Route], queue: Queue, metrics: Metrics, log: Log,
                 token: bytes = b"", hosts: tuple[str, ...] = (), deadline: float = 30.0,
                 most: int = 20 << 20, fetcher: Any = None) -> None:
        self.routes = routes
        self.jobs, self.metrics, self.log, self.fetcher = queue, metrics, log, fetcher
        self.ready, self.frame_s = False, 1.0
        self._token, self._hosts, self._deadline, self._most = token, hosts, deadline, most
        self._done: deque[tuple[Call, Told, str]] = deque()
        super().__init__(host, port)

    def begin(self, connection: Connection, request: Request) -> Any:
        """See `Hub.begin`."""
        route = self._route(request)
        connection.task = Call(connection, route, request)
        host = request.headers.get("host", "")
        if not (is_ours(host, self._host) or urlsplit("//" + host).hostname in self._hosts):
            raise Refused(403, message="this service goes by another name (--host-name)")
        origin = request.headers.get("origin")
        if origin and urlsplit(origin).netloc != host:
            raise Refused(403, message="another site's page may not ask here")
        if not route.open and not route.key:
            self._check(request, {})
        if route.ask is None or route.fetches:
            return Body(SMALL_BODY)
        if not self.ready:
            raise Refused(503, "Retry-After: 2\r\n", "the network is being loaded")
        if request.length > self._most:
            raise Refused(413, message=f"the picture is larger than {self._most} bytes")
        return Upload(request, self._most)

    def serve(self, connection: Connection, request: Request, body: Any) -> None:
        """See `Hub.serve`."""
        call: Call = connection.task
        route = call.route
        if route.ask is None:
            self._answer(call, route.tell(request, bytes(body.data)) if route.takes else route.tell(request))
            return
        fields = query(request)
        if isinstance(body, Upload):
            call.picture = body
            body.finish()
            fields.update(body.fields)
            if route.key and not route.open:
                self._check(request, body.fields, route.key)
            if not body.size:
                raise Refused(400, message="there is no picture in the request")
        call.ask = route.ask(request, fields)
        if not self.ready:
            raise Refused(503, "Retry-After: 2\r\n", "the network is being loaded")
        wait = min(call.ask.deadline or self._deadline, self._deadline)
        call.job = Job(call.ask.camera or _camera(call), call.ask.newest, call=call)
        self.wait(connection, wait + GRACE_S)
        if route.fetches:
            if not self.fetcher.put(call, wait):
                raise self._full()
        else:
            self.enqueue(call)

    def enqueue(self, call: Call) -> None:
        """Let a call with its picture wait for its turn; any thread. Raises `Refused`."""
        assert call.job is not None
        call.queued = time.monotonic()
        taken, gone = self.jobs.put(call.job)
        for old in gone:
            if old.run is not None:  # of the ZMQ detector: its thread gives up waiting by itself
                continue
            old.call.close()
            newer = old.newest and old.camera == call.job.camera
            refused = Refused(409, message="a newer picture took its place") if newer else self._full()
            self.finish(old.call, refusal(old.call.route, refused), refused.header)
        if not taken:
            call.close()
            raise self._full()

    def expired(self, call: Call) -> bool:
        """Whether the deadline of a call is past."""
        wait = self._deadline if call.ask is None else call.ask.deadline or self._deadline
        return time.monotonic() - call.began > wait

    def finish(self, call: Call, said: Told, header: str = "") -> None:
        """Answer a call from any thread."""
        self._done.append((call, said, header))
        self.wake()

    def refuse(self, connection: Connection, refused: Refused) -> None:
        """See `Hub.refuse`."""
        call = connection.task
        if call is None:
            self.metrics.request("other", refused.status)
            self.log.write(connection, None, refused.status)
            self.say(connection, answer(refused.status, more=refused.header))
        else:
            self._answer(call, refusal(call.route, refused), refused.header)

    def gone(self, connection: Connection) -> None:
        """See `Hub.gone`: a picture nobody waits for is not looked at."""
        if connection.task is not None:
            self._release(connection.task)

    def bound(self) -> None:
        """See `Hub.bound`: sends what is done, and keeps what uploads take of the disk within its limit."""
        while self._done:
            call, said, header = self._done.popleft()
            if call.connection.kind == "waiting" and call.connection.task is call:
                self._answer(call, said, header)
        sending = sorted((c for c in self._connections.values() if c.out), key=lambda c: -c.since)
        left = OUT_BYTES
        for one in sending:  # the latest first: who does not read what he asked for has to go
            left -= sum(map(len, one.out))
            if left < 0 and one is not sending[0]:
                self.drop(one)
        coming = [c for c in self._connections.values() if isinstance(c.body, Upload)]
        held = sum(c.body.size for c in coming)
        while held > HELD_BYTES:
            largest = max(coming, key=lambda c: c.body.size)
            coming.remove(largest)
            held -= largest.body.size
            self.refuse(largest, Refused(503, "Retry-After: 5\r\n", "too much is being sent at once"))

    def _route(self, request: Request) -> Route:
        methods = []
        for route in self.routes:
            head, brace, _ = route.path.partition("{")
            named = brace and request.path.startswith(head) and _NAME.fullmatch(request.path[len(head):])
            if request.path == route.path or named:
                if route.method == request.method:
                    return route
                methods.append(route.method)
        if methods:
            raise Refused(405, f"Allow: {', '.join(sorted(set(methods)))}\r\n")
        raise Refused(404)

    def _check(self, request: Request, fields: dict[str, str], key: str = "") -> None:
        """Raise `Refused` unless the token was given, as a bearer's or in the form's field `key`."""
        if not self._token:
            return
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        tried = [given.strip()] if kind.lower() == "bearer" else []
        tried += [fields[key]] if key in fields else []
        if not any(same(one.encode(), self._token) for one in tried):
            raise Refused(401, "WWW-Authenticate: Bearer\r\n", "the token is missing or wrong")

    def _full(self) -> Refused:
        seconds = max(1, min(3600, round((len(self.jobs) + 1) * self.frame_s + 0.5)))
        return Refused(429, f"Retry-After: {seconds}\r\n", "too many pictures are waiting")

    def _release(self, call: Call) -> None:
        """Nobody waits for this call any more: its picture goes, unless another thread has it."""
        if call.job is None or self.jobs.cancel(call.job):
            call.close()

    def _answer(self, call: Call, said: Told, header: str = "") -> None:
        """Send an answer, count it and write it down; in the server's thread."""
        connection = call.connection
        self._release(call)
        self.metrics.request(call.route.path, said.status)
        if call.job is not None and said.status == 200:
            call.job.seconds["total"] = time.monotonic() - call.began
            self.metrics.took(call.job.seconds)
        self.log.write(connection, call, said.status)
        self.say(connection, answer(said.status, said.kind, said.body, more=header))


def refusal(route: Route, refused: Refused) -> Told:
    """What a refused request is answered with, in the form of its route."""
    return told(route.refuse(refused.status, str(refused)), refused.status)


def same(one: bytes, other: bytes) -> bool:
    """Whether two tokens are the same, in a time that does not tell how much of them is.

    As `hmac.compare_digest`, whose module imports OpenSSL: megabytes of the budget for one loop.
    """
    different = len(one) ^ len(other)
    for at, byte in enumerate(other):
        different |= byte ^ (one[at] if at < len(one) else 0)
    return not different


def read_token(path: str) -> bytes:
    """The token in a file's first line. Raises `DarkfuseError`."""
    try:
        with open(path, "rb") as file:
            token = file.readline(4097).strip()
    except OSError as error:
        raise DarkfuseError(f"--token-file {path}: {error.strerror}") from None
    if not 8 <= len(token) <= 4096 or not token.isascii():
        raise DarkfuseError(f"--token-file {path}: its first line has to hold 8 or more characters")
    return token


def _camera(call: Call) -> str:
    """Whose turn a picture takes that names no camera: of the place it is fetched from, or of the client."""
    with contextlib.suppress(ValueError):
        if call.ask is not None and call.ask.url:
            parts = urlsplit(call.ask.url)
            return parts.netloc + parts.path
    return call.connection.address
