"""The live page's pictures: whole, the newest, and no viewer who costs more than his share."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from livepage import HOST, Film, ask, connect, descriptors, everything, frames, settle, status, stream

from darkfuse.live.web import hub
from darkfuse.live.web import server as web
from darkfuse.live.web.server import Server


def test_the_stream_is_whole_pictures_in_order(server: Server, film: Film) -> None:
    with stream(server) as sock:
        numbers = frames(sock, 8)
    assert numbers == sorted(set(numbers))
    settle(server)


def test_nobody_watches_nothing_is_compressed(server: Server, film: Film) -> None:
    ask(server, b"GET /detections.json HTTP/1.1\r\n" + HOST + b"\r\n")
    time.sleep(0.5)
    assert film.made == 0


def test_a_viewer_who_stalls_gets_the_newest_then_and_not_what_he_missed(server: Server, film: Film) -> None:
    with stream(server, 4096) as slow, stream(server) as quick:
        last = frames(quick, 30)[-1]
        assert film.made >= 30
        numbers = frames(slow, 12)
    jump = max(b - a for a, b in zip(numbers, numbers[1:]))
    missed = sum(numbers[0] < n < last for n in range(numbers[0], last)) - len(numbers)
    assert jump > 5 and missed > 0


def test_one_who_never_reads_is_dropped(server: Server, film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "STALL_S", 1.0)
    with stream(server, 4096):
        settle(server, 1)
        settle(server, 0)


def test_old_pictures_held_are_bounded(server: Server, film: Film) -> None:
    film.size = 400_000  # five fit
    viewers = [stream(server)]
    # for this one, who reads, new pictures are made all the time
    def drain() -> None:
        with contextlib.suppress(OSError):
            while viewers[0].recv(65536):
                pass

    threading.Thread(target=drain, daemon=True).start()
    try:
        for _ in range(12):  # each begins with a newer picture than the one before, and then stalls
            made, until = film.made, time.monotonic() + 20
            while film.made < made + 2 and time.monotonic() < until:
                time.sleep(0.01)
            viewers.append(stream(server, 4096))
        settle_by = time.monotonic() + 20
        while server.viewers > 8 and time.monotonic() < settle_by:
            time.sleep(0.02)
        pictures = [viewer.picture for viewer in list(server._connections.values())]
        held = {id(picture): len(picture) for picture in pictures if picture is not None}
        assert 2 < server.viewers <= 8 and len(held) > 2
        assert sum(held.values()) <= web.HELD_BYTES + film.size  # one may just be coming
    finally:
        for sock in viewers:
            sock.shutdown(socket.SHUT_RDWR)
    settle(server)
    for sock in viewers:
        sock.close()


def test_a_full_house_says_so_and_empties(server: Server, film: Film) -> None:
    before, threads = descriptors(), threading.active_count()
    viewers = [stream(server) for _ in range(hub.PLACES)]
    settle(server, hub.PLACES)
    with connect(server) as one_more:
        assert status(everything(one_more)) == 503
    assert threading.active_count() == threads
    for sock in viewers:
        sock.close()
    settle(server)
    assert descriptors() == before
    assert status(ask(server, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")) == 200


def test_fifty_come_stall_and_go_over_and_over(server: Server, film: Film,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """Some read, some stall, some leave in the middle of a picture or a request, some reset."""
    monkeypatch.setattr(hub, "STALL_S", 1.0)
    before, threads = descriptors(), threading.active_count()
    for turn in range(6):
        viewers = [stream(server, 4096 if n % 3 else None) for n in range(50)]
        with connect(server) as half:
            half.sendall(b"GET /stream.mjpg HT")
        for number, sock in enumerate(viewers):
            if number % 3 == 0:
                sock.recv(1000)
            if number % 5 == turn % 5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset on close
            sock.close()
    settle(server)
    assert descriptors() == before and threading.active_count() == threads
    with stream(server) as sock:
        assert len(frames(sock, 3)) == 3
