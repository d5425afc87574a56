"""What the page shows: pictures with what was found in them, the last news, and the list of `-json_port`."""

from __future__ import annotations

import json
import socket
import struct
import threading

from livepage import HOST, RECORD, connect, everything, film, server, settle  # noqa: F401

from darkfuse.live.web.json_port import JsonPort
from darkfuse.live.web.server import Server
from darkfuse.live.web.state import State


def open_path(server: Server, path: bytes) -> socket.socket:  # noqa: F811
    sock = connect(server)
    sock.sendall(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += sock.recv(1)
    assert b" 200 " in got
    return sock


def exactly(sock: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        piece = sock.recv(count - len(got))
        assert piece, "it ended"
        got += piece
    return got


def test_a_picture_comes_with_what_was_found_in_it(server: Server) -> None:  # noqa: F811
    with open_path(server, b"/frames") as sock:
        for number in range(1, 6):
            while not server.wants_picture():
                pass
            record = {**RECORD, "frame_id": number}
            server.update({**RECORD, "frame_id": number + 100})  # the news are ahead of the pictures
            server.show(number, lambda number=number: bytes([number]) * (1000 * number), record)
            text, size = struct.unpack(">II", exactly(sock, 8))
            assert json.loads(exactly(sock, text))["frame_id"] == number
            assert exactly(sock, size) == bytes([number]) * (1000 * number)


def test_the_last_news_arrive_before_the_server_goes() -> None:
    server = Server("127.0.0.1", 0, State(0.5))  # noqa: F811
    server.update(RECORD)
    with open_path(server, b"/events") as sock:
        settle(server, 1)
        server.update({**RECORD, "ended": True})
        server.finish()
        server.close()
        assert b'"ended":true' in everything(sock).split(b"data: ")[-1]


def test_nobody_is_waited_for_where_nobody_watches(server: Server) -> None:  # noqa: F811
    server.update({**RECORD, "ended": True})
    server.finish()


FOUND = {"class_id": 1, "name": "bicycle", "confidence": 0.5,
         "relative_coordinates": {"center_x": 0.5, "center_y": 0.5, "width": 0.1, "height": 0.1}}


def test_the_list_grows_by_every_frame_and_is_closed() -> None:
    port = JsonPort("127.0.0.1", 0)
    port.add({**RECORD, "frame_id": 1})
    with open_path(port, b"/") as late, open_path(port, b"/anything") as other:
        settle(port, 2)
        got: dict[socket.socket, bytes] = {}
        readers = [threading.Thread(target=lambda sock=sock: got.update({sock: everything(sock)}))
                   for sock in (late, other)]
        for reader in readers:
            reader.start()
        for number in range(2, 40):
            port.add({**RECORD, "frame_id": number, "objects": [FOUND] * (number % 3)})
        while any(viewer.sent != (port._count, True) or viewer.out for viewer in port._connections.values()):
            pass
        port.close()
        for reader in readers:
            reader.join()
        for text in got.values():
            frames = json.loads(text)
            assert [frame["frame_id"] for frame in frames] == list(range(2, 40))
            assert all(frame["objects"] == [FOUND] * (frame["frame_id"] % 3) for frame in frames)


def test_another_site_does_not_read_the_list() -> None:
    port = JsonPort("127.0.0.1", 0)
    with connect(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n")
        assert b" 403 " in everything(sock)
    port.close()
