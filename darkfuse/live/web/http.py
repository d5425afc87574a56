"""As much of HTTP/1.1 as `demo` and `serve` need: requests read strictly; answers and endless answers.

The standard library's server imports OpenSSL and the mail parser, 7 MB, and gives every viewer a thread.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple

HEAD_BYTES = 8192  # of a request's line and headers
STATUS = {
    200: "OK", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict", 411: "Length Required",
    413: "Content Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Content",
    429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
# The page may load nothing but itself; no other page may embed or read what is served here
_ALWAYS = (
    "Cache-Control: no-store\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Content-Security-Policy: default-src 'none'; img-src 'self' data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'\r\n"
    "Connection: close\r\n"
)


class Request(NamedTuple):
    """The head of a request: path and query as they came, header names in lower case, bytes of the body."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    length: int


class Refused(Exception):
    """A request that is not answered with what it asks for.

    `status` and `message` say why; `header` is what goes with it.
    """

    def __init__(self, status: int, header: str = "", message: str = "") -> None:
        super().__init__(message or STATUS[status])
        self.status, self.header = status, header


class Body:
    """Where a request's body goes: memory, `most` bytes of it."""

    def __init__(self, most: int) -> None:
        self.most, self.data = most, bytearray()

    def write(self, piece: bytes | bytearray) -> None:
        """Add bytes. Raises `Refused`."""
        self.data += piece

    def close(self) -> None:
        """Let go of what is held."""
        self.data = bytearray()


def parse(data: bytes | bytearray) -> tuple[Request, int] | None:
    """The head of the request in `data`, and where its body begins; None while it is not all there.

    Raises `Refused`.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > HEAD_BYTES:
            raise Refused(431)
        return None
    if end > HEAD_BYTES:
        raise Refused(431)
    try:
        first, *lines = bytes(data[:end]).decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise Refused(400) from None
    words = first.split(" ")
    if len(words) != 3 or not words[1].startswith("/"):
        raise Refused(400)
    method, target, version = words
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise Refused(505 if version.startswith("HTTP/") else 400)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        # a space before the colon or a folded line is how two servers come to read one request differently
        if not colon or not name or name != name.strip() or name.lower() in headers and name.lower() in (
                "host", "content-length"):
            raise Refused(400)
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise Refused(411)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Refused(400)
    if len(length) > 15:
        raise Refused(413)
    if method == "POST" and "content-length" not in headers:
        raise Refused(411)
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, int(length)), end + 4


def answer(status: int, kind: str = "text/plain; charset=utf-8", body: bytes = b"",
           with_length: bool = True, more: str = "") -> bytes:
    """Status line, headers and, unless it is a stream, the body."""
    if status >= 400 and not body:
        body = STATUS[status].encode() + b"\n"
    length = f"Content-Length: {len(body)}\r\n" if with_length else ""
    head = f"HTTP/1.1 {status} {STATUS[status]}\r\nContent-Type: {kind}\r\n{length}{more}{_ALWAYS}\r\n"
    return head.encode("ascii") + body


def is_ours(host: str, bound: str) -> bool:
    """Whether a Host header can name this machine.

    Any page a person visits may have its own name resolve to this machine, and would then read the camera
    as its own data (DNS rebinding). So addresses, `localhost`, this machine's own name, and names without a
    dot, which no public name server answers for: a container's, or one from a file of hosts.
    """
    name = host.strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    own = socket.gethostname().lower()
    if name in ("localhost", bound.lower(), own, own + ".local", own.partition(".")[0] + ".local"):
        return bool(name)
    if _LABEL.fullmatch(name):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
