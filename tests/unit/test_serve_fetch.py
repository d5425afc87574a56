"""Fetching pictures by address: only from where that is allowed, only so much, only so long."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from darkfuse.errors import DarkfuseError
from darkfuse.live.serve import fetch as fetching
from darkfuse.live.serve.fetch import Rules, Unfetched, fetch, is_public, plain
from darkfuse.live.serve.upload import PictureFile

pytest.importorskip("multipart")
PICTURE = b"\xff\xd8" + bytes(range(256)) * 40


class Site(http.server.BaseHTTPRequestHandler):
    """Answers by path; `asked` has what was asked for."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        name, _, more = self.path[1:].partition("/")
        if name == "redirect":
            self.send_response(302)
            self.send_header("Location", more)
            self.end_headers()
        elif name == "status":
            self.send_error(int(more))
        elif name == "once" and self.asked.count(self.path) == 1:
            self.send_error(503)
        else:
            self.send_response(200)
            length = {"long": 10 << 20, "short": len(PICTURE) + 9}.get(name, len(PICTURE))
            if name != "endless":
                self.send_header("Content-Length", str(length))
            self.end_headers()
            if name == "drip":
                for at in range(len(PICTURE)):
                    try:
                        self.wfile.write(PICTURE[at : at + 1])
                        time.sleep(0.05)
                    except OSError:
                        return
            self.wfile.write(PICTURE * (50 if name == "endless" else 1))

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A web site on this machine; `camera.test` is a name of it, and the one that is allowed."""
    Site.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    resolve = socket.getaddrinfo

    def known(host: str, *more: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == "camera.test" else host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", known)
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def got(url: str, most: int = 1 << 16, seconds: float = 10,
        allowed: tuple[str, ...] = ("camera.test",)) -> bytes:
    file = PictureFile(most)
    try:
        fetch(url, file, Rules(list(allowed)), seconds)
        with open(file.path, "rb") as opened:
            return opened.read()
    finally:
        file.close()


def test_a_picture_from_an_allowed_host(site: int) -> None:
    assert got(f"http://camera.test:{site}/a.jpg?x=1") == PICTURE
    assert Site.asked == ["/a.jpg?x=1"]
    assert got(f"http://127.0.0.1:{site}/b.jpg", allowed=("127.0.0.0/8",)) == PICTURE


@pytest.mark.parametrize("host", [
    "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1",
    "[fe80::1]", "[fc00::1]",
    "[::ffff:10.0.0.1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "224.0.0.1", "255.255.255.255", "[ff02::1]",
    "198.18.0.1", "192.0.2.1"])
def test_no_way_into_the_private_network(site: int, host: str) -> None:
    with pytest.raises(Unfetched):
        got(f"http://{host}:{site}/secret")
    assert Site.asked == []


@pytest.mark.parametrize("target", ["http://127.0.0.1:{}/secret", "http://localhost:{}/secret",
                                    "http://[::1]:{}/secret", "//127.0.0.1:{}/secret", "file:///etc/passwd",
                                    "ftp://camera.test/", "http://169.254.169.254/latest/meta-data/"])
def test_redirects_are_checked_as_the_first_address_was(site: int, target: str) -> None:
    with pytest.raises(Unfetched, match="public internet|only http|no address"):
        got(f"http://camera.test:{site}/redirect/" + target.format(site))
    assert "/secret" not in Site.asked and len(Site.asked) == 1


def test_redirects_end(site: int) -> None:
    assert got(f"http://camera.test:{site}/redirect//a.jpg") == PICTURE
    loop = f"http://camera.test:{site}/redirect/loop"
    with pytest.raises(Unfetched, match="too many redirects"):
        got(loop)
    assert len(Site.asked) < 12


def test_the_address_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that stands for a public address when it is checked, and for this machine a moment later."""
    answers = iter([("93.184.215.14", 8080), ("127.0.0.1", 8080)])
    asked, connected = [], []

    def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", next(answers))]

    class Recorder(socket.socket):
        def connect(self, address: Any) -> None:
            connected.append(address)
            raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(fetching.socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(fetching.socket, "socket", Recorder)
    with pytest.raises(Unfetched, match="Connection refused"):
        got("http://rebinding.test:8080/", allowed=())
    assert asked == ["rebinding.test"] and connected == [("93.184.215.14", 8080)]


def test_of_several_addresses_only_public_ones_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [("10.0.0.1", 80), ("93.184.215.14", 80), ("127.0.0.1", 80)]
    monkeypatch.setattr(fetching.socket, "getaddrinfo",
                        lambda *_, **__: [(socket.AF_INET, 1, 6, "", place) for place in places])
    assert Rules([]).addresses("mixed.test", 80) == [(socket.AF_INET, ("93.184.215.14", 80))]
    with pytest.raises(Unfetched):  # a system's port that is not the web's
        Rules([]).addresses("mixed.test", 22)


@pytest.mark.parametrize("url", [
    "", "camera.test/a", "file:///etc/passwd", "gopher://camera.test/", "http://", "http:///a", "http://[::1",
    "http://camera.test:99999/", "http://camera.test:0/", "http://u:p@camera.test/", "http://camera.test/a b",
    "http://camera.test/a\r\nX: y", "http://camera.test/\xe9", "javascript:1", "http://camera.test:x/"])
def test_addresses_that_are_none(site: int, url: str) -> None:
    with pytest.raises(Unfetched):
        got(url)
    assert Site.asked == []


def test_sizes_and_endings(site: int) -> None:
    for path in ("long", "endless"):
        with pytest.raises(Unfetched, match="larger than 65536 bytes"):
            got(f"http://camera.test:{site}/{path}")
    with pytest.raises(Unfetched, match="middle|Incomplete|read"):
        got(f"http://camera.test:{site}/short")
    for status in ("404", "401"):
        with pytest.raises(Unfetched, match=f"answers {status}"):
            got(f"http://camera.test:{site}/status/{status}")


def test_a_server_in_trouble_is_asked_once_more(site: int) -> None:
    assert got(f"http://camera.test:{site}/once") == PICTURE
    with pytest.raises(Unfetched, match="answers 503"):
        got(f"http://camera.test:{site}/status/503")
    assert Site.asked.count("/status/503") == 2


def test_dribbling_does_not_buy_time(site: int) -> None:
    began = time.monotonic()
    with pytest.raises(Unfetched, match="too long|in time"):
        got(f"http://camera.test:{site}/drip", seconds=0.5)
    assert time.monotonic() - began < 60  # the whole of it would take 500 s


def test_rules_that_are_none() -> None:
    for one in ("10.0.0.0/40", "", "a/b", "fe80::zz"):
        with pytest.raises(DarkfuseError, match="--allow"):
            Rules([one])
    rules = Rules(["Octopi.local.", "192.168.1.0/24", "[fd00::1]"])
    assert rules.hosts == {"octopi.local"} and len(rules.networks) == 2


@pytest.mark.parametrize(("address", "public"), [
    ("93.184.215.14", True), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True), ("::ffff:93.184.215.14", True),
    ("64:ff9b::5db8:d70e", True), ("64:ff9b::a00:1", False), ("2002:a00:1::", False), ("240.0.0.1", False),
    ("::127.0.0.1", False), ("fe80::1", False)])
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(plain(ipaddress.ip_address(address))) == public
