"""Pictures fetched by address, for forms that name them: only from where that is allowed.

Whoever may send a request could otherwise have this machine ask its own network for him. So only http and
https; no more redirects than three, each checked as the first address was; and only to addresses of the
public internet, unless a host or network was allowed. What is checked is what is connected to: the address a
name stood for at that moment, not the name, which may stand for another one a moment later (DNS rebinding).
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import time
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import darkfuse
from darkfuse.errors import DarkfuseError
from darkfuse.live.serve.upload import PictureFile
from darkfuse.live.web.http import Refused

CONNECT_S, TOTAL_S = 3.0, 10.0
REDIRECTS, TRIES = 3, 2
CHUNK = 1 << 16
_SCHEMES = {"http": 80, "https": 443}
_REDIRECT = (301, 302, 303, 307, 308)
_SYSTEM_PORTS = 1024  # of these only the web's own are asked on the public internet


class Unfetched(Exception):
    """No picture from there; the message says why."""


class Rules:
    """Where pictures may come from.

    Parameters
    ----------
    allowed : sequence of str
        Host names, addresses and networks (`192.168.1.0/24`) beyond the public internet.

    Raises
    ------
    DarkfuseError
        One of them is a network that cannot be read.
    """

    def __init__(self, allowed: list[str]) -> None:
        self.hosts: set[str] = set()
        self.networks: list[Any] = []
        for one in allowed:
            try:
                self.networks.append(ipaddress.ip_network(one.strip("[]"), strict=False))
            except ValueError:
                if "/" in one or ":" in one or not one:
                    raise DarkfuseError(f"--allow {one} is no host, address or network; write it like "
                                        "octopi.local or 192.168.1.0/24") from None
                self.hosts.add(one.lower().rstrip("."))

    def addresses(self, host: str, port: int) -> list[tuple[int, Any]]:
        """(family, socket address) of those addresses of `host` that may be connected to.

        Raises `Unfetched`.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unfetched(f"{host} has no address: {getattr(error, 'strerror', None) or error}") from None
        good: list[tuple[int, Any]] = [(family, place) for family, _, _, _, place in found
                                        if self._may(host, str(place[0]), port)]
        if not good:
            raise Unfetched(f"{host}:{port} is not on the public internet (--allow {host} lets it be asked)")
        return good

    def _may(self, host: str, address: str, port: int) -> bool:
        if host.lower().rstrip(".") in self.hosts:
            return True
        where = plain(ipaddress.ip_address(address.partition("%")[0]))
        if any(where in network for network in self.networks):
            return True
        return is_public(where) and (port in _SCHEMES.values() or port >= _SYSTEM_PORTS)


def plain(address: Any) -> Any:
    """The IPv4 address that an IPv6 one leads to (mapped, 6to4, Teredo, NAT64), else itself."""
    if address.version == 6:
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and (address in ipaddress.ip_network("64:ff9b::/96")
                              or address in ipaddress.ip_network("::/96")):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def is_public(address: Any) -> bool:
    """Whether an address belongs to a machine of the public internet."""
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_loopback
                                      or address.is_link_local or address.is_unspecified)


def fetch(url: str, into: PictureFile, rules: Rules, seconds: float = TOTAL_S) -> None:
    """Write what is at `url` into `into`, within `seconds`.

    Raises
    ------
    Unfetched
        The address is not allowed, does not answer in time, or answers with no file of an allowed size.
    """
    until = time.monotonic() + seconds
    tries = TRIES
    for _ in range(REDIRECTS + TRIES):
        parts = _split(url)
        connection, answer = _ask(parts, rules, until)
        try:
            if answer.status in _REDIRECT:
                url = urljoin(url, answer.getheader("Location") or "")
                continue
            if answer.status >= 500 and tries > 1:
                tries -= 1
                continue
            if answer.status != 200:
                raise Unfetched(f"{parts.hostname} answers {answer.status}")
            length = answer.getheader("Content-Length") or "0"
            if length.isdigit() and int(length) > into.most:
                raise Unfetched(f"the picture is larger than {into.most} bytes")
            _copy(connection, answer, into, until)
            return
        except (OSError, http.client.HTTPException) as error:
            raise Unfetched(f"{parts.hostname}: {_words(error)}") from None
        except Refused as refused:
            raise Unfetched(str(refused)) from None
        finally:
            answer.close()
            connection.close()
    raise Unfetched("too many redirects")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Unfetched("that is no address") from None
    if parts.scheme not in _SCHEMES or not parts.hostname or port == 0:
        raise Unfetched("only http and https addresses are fetched")
    if parts.username is not None or parts.password is not None:
        raise Unfetched("an address with a password in it is not fetched")
    if not url.isascii() or any(ord(one) < 33 or ord(one) == 127 for one in url):
        raise Unfetched("that is no address: what is not plain ASCII has to be escaped")
    return parts


def _ask(parts: SplitResult, rules: Rules, until: float) -> tuple[Any, Any]:
    """A connection on which the picture was asked for, and the beginning of the answer."""
    host, port = str(parts.hostname), parts.port or _SCHEMES[parts.scheme]
    error: Exception = OSError("no address")
    for family, place in rules.addresses(host, port):
        connection = http.client.HTTPConnection(host, port)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(_left(until, CONNECT_S))
            sock.connect(place)
            if parts.scheme == "https":
                import ssl

                sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
            connection.sock = sock
            sock.settimeout(_left(until))
            path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
            connection.request("GET", path, headers={"User-Agent": f"darkfuse/{darkfuse.__version__}",
                                                     "Accept": "image/*", "Connection": "close"})
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as failed:
            error = failed
            sock.close()
            connection.close()
    raise Unfetched(f"{host}: {_words(error)}")


def _copy(connection: Any, answer: Any, into: PictureFile, until: float) -> None:
    while True:
        if connection.sock is not None:
            connection.sock.settimeout(_left(until))
        else:
            _left(until)
        piece = answer.read1(CHUNK)  # what has come, so that a slow sender cannot stretch the time
        if not piece:
            break
        into.store(piece)
    if answer.length:
        raise Unfetched("the connection ended in the middle of the picture")


def _left(until: float, most: float = TOTAL_S) -> float:
    left = min(until - time.monotonic(), most)
    if left <= 0:
        raise Unfetched("the picture takes too long to come")
    return left


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
