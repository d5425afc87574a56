"""The web server of `demo` and `serve`: one thread for everybody, and nobody can cost more than his share.

It reads requests, sends answers and endless answers, and keeps within bounds what connections may hold. What
is asked and answered is for a subclass to say: `begin`, `serve`, `refill`, `bound`.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys
import threading
import time
from typing import Any

from darkfuse.errors import DarkfuseError
from darkfuse.host.quiet import is_quiet
from darkfuse.live.web.http import CONTINUE, Refused, Request, answer, parse

PLACES = 128  # connections; a page that is open has two
SEND_BYTES = 128 << 10  # the kernel keeps for one connection
RECEIVE_BYTES = 1 << 16  # read at a time
REQUEST_S, UPLOAD_S, STALL_S, LINGER_S = 5.0, 30.0, 10.0, 1.0
SLOWEST = 64 << 10  # bytes a second that an upload is given time for
DEAF_S = 0.25  # nobody is let in for so long when there are no descriptors
YOUNG_S = 0.25  # before that nobody is held to be slow
ROUND_S = 0.1  # from round to round past everybody, where nothing is new, was sent, or came in such amounts:
ROUND_BYTES = 256 << 10
AT_ONCE = 8  # slow ones that go when there is no place


class Connection:
    """One connection; `kind` is 'request', then 'waiting' for an answer, or a stream's, then 'leaving'."""

    __slots__ = ("sock", "address", "began", "kind", "got", "out", "deadline", "sent", "picture", "since",
                 "request", "body", "received", "task")

    def __init__(self, sock: socket.socket, address: str, now: float) -> None:
        self.address, self.began = address, now
        self.sock, self.kind = sock, "request"
        self.got = bytearray()
        self.request: Request | None = None
        self.body: Any = None
        self.task: Any = None  # what a server keeps of its own
        self.received = 0
        self.out: list[memoryview] = []
        self.deadline = now + REQUEST_S
        self.sent: Any = None  # number of the picture, or stamp of the state, sent last
        self.picture: Any = None  # bytes being sent, shared with other connections
        self.since = now  # when something was sent last


class Hub:
    """A server on `host`:`port` (0: any free port), from construction until `close`.

    Raises
    ------
    DarkfuseError
        The address cannot be used.
    """

    OPTION = "--http"  # how messages call the address

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            self._listener = socket.create_server((host, port), family=family, backlog=128)
        except (OSError, OverflowError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise DarkfuseError(f"{self.OPTION} {host}:{port}: cannot listen there: {why}") from None
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}/"
        self._connections: dict[int, Connection] = {}
        self._wake_in, self._wake_out = os.pipe()
        for end in (self._wake_in, self._wake_out):
            os.set_blocking(end, False)
        self._select = selectors.DefaultSelector()
        self._select.register(self._listener, selectors.EVENT_READ)
        self._select.register(self._wake_in, selectors.EVENT_READ)
        self._deaf_until = 0.0  # 0: new connections are heard
        self._next_round = 0.0  # when everybody is looked at; 0: now, as something is new or was sent
        self._came = 0  # bytes since the last round
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        try:
            self._thread.start()
            is_quiet(self._thread)
        except RuntimeError:
            self._select.close()
            self._listener.close()
            raise DarkfuseError(f"{host}:{port}: the system refuses a thread to serve with") from None

    def begin(self, connection: Connection, request: Request) -> Any:
        """What takes the body of a request whose head is there, see `Body`. Raises `Refused`."""
        raise NotImplementedError

    def serve(self, connection: Connection, request: Request, body: Any) -> None:
        """Answer a whole request, now with `say` or later. Raises `Refused`."""
        raise NotImplementedError

    def refuse(self, connection: Connection, refused: Refused) -> None:
        """Send what a refused request is answered with."""
        self.say(connection, answer(refused.status, more=refused.header))

    def refill(self, connection: Connection, now: float) -> None:
        """Give a stream that has sent everything what is new."""

    def bound(self) -> None:
        """Called after every round past everybody: keep what is held within its limits."""

    def gone(self, connection: Connection) -> None:
        """A connection has ended that may have waited for an answer."""

    def close(self) -> None:
        """Say goodbye to everybody and free the port."""
        self._stop = True
        self.wake()
        self._thread.join()
        for connection in list(self._connections.values()):
            self.drop(connection)
        self._select.close()
        self._listener.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    @property
    def viewers(self) -> int:
        """Connections now."""
        return len(self._connections)

    def wake(self) -> None:
        """Have the thread look round."""
        with contextlib.suppress(BlockingIOError):  # so many are there that it will wake anyway
            os.write(self._wake_out, b"x")

    def _run(self) -> None:
        while not self._stop:
            if self._deaf_until and time.monotonic() >= self._deaf_until:
                self._deaf_until = 0.0
                self._select.register(self._listener, selectors.EVENT_READ)
            for key, mask in self._select.select(DEAF_S if self._deaf_until else 1.0):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.data is None:
                    os.read(self._wake_in, 4096)
                    self._next_round = 0.0
                else:
                    connection: Connection = key.data
                    if mask & selectors.EVENT_READ and connection.sock.fileno() >= 0:
                        self._read(connection)
                    if mask & selectors.EVENT_WRITE and connection.sock.fileno() >= 0:
                        self._send(connection)
            if self._came > ROUND_BYTES or time.monotonic() >= self._next_round:
                self._go_round()

    def _go_round(self) -> None:
        """Look at everybody: who gets what is new, whose time is over? A crowd that only comes and dribbles
        is no reason to, or each of its bytes would cost as much as all connections together."""
        now = time.monotonic()
        self._next_round, self._came = now + ROUND_S, 0
        for connection in list(self._connections.values()):
            if not connection.out and connection.kind not in ("request", "waiting", "leaving"):
                self.refill(connection, now)
            elif now > connection.deadline:
                self._expire(connection)
        self.bound()

    def _accept(self) -> None:
        try:
            sock, address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return  # gone again
        except OSError:  # no descriptor or memory left: who waits would wake this thread again and again
            self._select.unregister(self._listener)
            self._deaf_until = time.monotonic() + DEAF_S
            return
        try:
            sock.setblocking(False)
            if len(self._connections) >= PLACES:
                self._make_room(address[0])
            if len(self._connections) >= PLACES:
                sock.send(answer(503, more="Retry-After: 5\r\n"))
                sock.close()
                return
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            sock.close()
            return
        connection = Connection(sock, address[0], time.monotonic())
        self._connections[sock.fileno()] = connection
        self._select.register(sock, selectors.EVENT_READ, connection)

    def _make_room(self, address: str) -> None:
        """Who has not finished asking, slowest first, or has his answer, goes first; then, for one from
        elsewhere, the oldest of an address that holds more than half of the places.

        Several who are slow go at once: in a crowd, looking for them costs more than anything else."""
        waiting = [c for c in self._connections.values() if c.kind in ("request", "leaving")]
        if waiting:
            now = time.monotonic()
            rank = {c: (c.kind == "request", *slowness(c, now)) for c in waiting}
            first, *others = sorted(waiting, key=rank.__getitem__)[:AT_ONCE]
            self.drop(first)
            for one in others:
                if rank[one][:2] == (True, False):
                    self.drop(one)
            return
        held: dict[str, list[Connection]] = {}
        for connection in self._connections.values():
            held.setdefault(connection.address, []).append(connection)
        most = max(held, key=lambda one: len(held[one]))
        if most != address and len(held[most]) > PLACES // 2:
            self.drop(min(held[most], key=lambda c: c.began))

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(RECEIVE_BYTES)
            self._came += len(data)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(connection)
        elif connection.kind == "request":
            try:
                self._take(connection, data)
            except Refused as refused:
                self.refuse(connection, refused)
            except Exception as error:  # a fault of ours costs this request, not everybody's
                sys.stderr.write(f"darkfuse: a request failed: {type(error).__name__}: {error}\n")
                self.refuse(connection, Refused(500))
        elif connection.kind not in ("leaving", "waiting"):
            self.drop(connection)  # a stream's viewer has nothing to say

    def _take(self, connection: Connection, data: bytes | bytearray) -> None:
        """The next bytes of a request: of its head, until that is whole, then of its body."""
        connection.received += len(data)
        if connection.request is None:
            connection.got += data
            read = parse(connection.got)
            if read is None:
                return
            request, at = read
            body = self.begin(connection, request)
            connection.request, connection.body = request, body
            if request.length > body.most:
                raise Refused(413)
            data, connection.got = connection.got[at:], bytearray()
            connection.received = len(data)
            connection.deadline += min(request.length / SLOWEST, UPLOAD_S)
            if not data and request.length and request.headers.get("expect", "").lower() == "100-continue":
                with contextlib.suppress(OSError):
                    connection.sock.send(CONTINUE)
        request = connection.request
        if data:
            past = max(0, connection.received - request.length)  # a pipelined request: it is not answered
            connection.body.write(data[: len(data) - past] if past else data)
        if connection.received >= request.length:
            body, connection.body = connection.body, None
            self.serve(connection, request, body)

    def wait(self, connection: Connection, seconds: float) -> None:
        """The answer comes later, within `seconds`."""
        connection.kind, connection.deadline = "waiting", time.monotonic() + seconds

    def say(self, connection: Connection, data: bytes) -> None:
        """Send a whole answer; the connection ends after it."""
        connection.kind = "leaving"
        if connection.body is not None:
            connection.body.close()
            connection.body = None
        self.queue(connection, data)

    def queue(self, connection: Connection, *pieces: Any) -> None:
        """Send pieces."""
        self._next_round = 0.0
        connection.got = bytearray()
        connection.since = time.monotonic()
        connection.deadline = connection.since + STALL_S
        connection.out = [memoryview(piece).cast("B") for piece in pieces]
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        while connection.out:
            try:
                count = connection.sock.sendmsg(connection.out)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.drop(connection)
                return
            connection.deadline = time.monotonic() + STALL_S
            while count:
                piece = connection.out[0]
                if count < len(piece):
                    connection.out[0] = piece[count:]
                    break
                count -= len(piece)
                del connection.out[0]
        if not connection.out:
            self._next_round = 0.0
            connection.picture = None
            if connection.kind == "leaving":
                self._part(connection)
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.out else 0)
        if self._select.get_key(connection.sock).events != mask:
            self._select.modify(connection.sock, mask, connection)

    def _part(self, connection: Connection) -> None:
        """All is sent. Closing now, with something unread, would take it back: wait for the other side."""
        connection.deadline = time.monotonic() + LINGER_S
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            connection.deadline = 0.0

    def _expire(self, connection: Connection) -> None:
        if connection.kind in ("request", "waiting"):
            self.refuse(connection, Refused(408 if connection.kind == "request" else 504))
        else:
            self.drop(connection)

    def drop(self, connection: Connection) -> None:
        """End a connection, whatever it is at."""
        number = connection.sock.fileno()
        if number < 0:
            return
        self._select.unregister(connection.sock)
        del self._connections[number]
        connection.out, connection.picture = [], None
        if connection.body is not None:
            connection.body.close()
            connection.body = None
        connection.sock.close()
        self.gone(connection)


def slowness(connection: Connection, now: float) -> tuple[bool, float]:
    """Orders requests that are not whole yet: first those that take long, the fewest bytes a second first."""
    age = now - connection.began
    return age < YOUNG_S, connection.received / max(age, YOUNG_S)
