"""What darkfuse reads that others wrote, each as a function of bytes, and seeds to mutate.

A target returns, or raises an error made for people (`EXPECTED`); anything else is a fault. `limit` bounds an
input's bytes. Whatever a target takes from a file system lies in memory, /dev/shm where there is one.
"""

from __future__ import annotations

import functools
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import messages
import pictures
import sockets
import uploads

from darkfuse.detect.dataset import Photo, truths
from darkfuse.engine.check import check
from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph, build_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.live.web.http import Refused, is_ours, parse
from darkfuse.live.web.state import State
from darkfuse.model.cfg import parse_cfg
from darkfuse.model.names import read_data, read_names
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.price.device import BUILTIN, load_device
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.show.annotate import annotate, read_annotation
from darkfuse.plan.show.notation import parse_plan
from darkfuse.plan.types import Plan
from darkfuse.session.choose import read_plan

EXPECTED = (DarkfuseError, Refused)
ROOT = Path(__file__).resolve().parent.parent.parent
NET = """[net]
width=32
height=24
channels=3
[convolutional]
batch_normalize=1
filters=16
size=3
stride=1
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=21
size=1
activation=linear
[route]
layers=-1,-2
[shortcut]
from=-1
[convolutional]
filters=16
size=1
stride=1
activation=linear
[region]
anchors=1,2, 3,4
classes=3
num=2
softmax=1
"""
warnings.simplefilter("ignore")


@dataclass(frozen=True)
class Target:
    """`run(data)`; `seeds()` to begin with; words worth putting in."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()
    limit: int = 1 << 12


@functools.cache
def graph() -> Graph:
    return build_graph(parse_cfg(NET.replace("[shortcut]\nfrom=-1\n", ""), "net.cfg"))


@functools.cache
def plan() -> Plan:
    return layer_by_layer(graph(), 2, "streamed")


@functools.cache
def scratch() -> str:
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = tempfile.TemporaryDirectory(prefix="darkfuse-fuzz-", dir=folder)
    _KEEP.append(made)
    return made.name


_KEEP: list[Any] = []  # lives as long as the process


def on_file(name: str, read: Callable[[str], object],
            prepared: Callable[[bytes], bytes] = bytes) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        path = os.path.join(scratch(), f"{name}.{os.getpid()}")
        with open(path, "wb") as file:
            file.write(prepared(data))
        return read(path)

    return run


def cfg(data: bytes) -> object:
    return build_graph(parse_cfg(data.decode("utf-8", "surrogateescape")))


def cfgs() -> list[bytes]:
    """A network of two layers for each kind of section in the cfgs that come with darkfuse: short ones take
    a tenth of the time."""
    head, found = NET.partition("[maxpool]")[0], {}
    for path in sorted((ROOT / "cfg").glob("*.cfg")):
        for part in path.read_text().split("\n[")[1:]:
            found.setdefault(part.partition("]")[0], part)
    return [NET.encode(), *(f"{head}[{part}\n".encode()[:1024] for part in found.values())]


def annotation(data: bytes) -> object:
    return read_annotation(build_graph(parse_cfg(data.decode("utf-8", "surrogateescape"))))


def plan_json(path: str) -> object:
    """As far as the engine's own check of what it would run."""
    program = lower(graph(), read_plan(graph(), path, 2, False))
    return check(program, 1)


def notation(data: bytes) -> object:
    return parse_plan(data.decode("utf-8", "replace"), graph())


def labels(path: str) -> object:
    return truths(Photo("a", "a.jpg", path, path + ".none"), 100, 100, 3)


def http(data: bytes) -> object:
    got = parse(bytearray(data))
    if got is not None:
        request, at = got
        is_ours(request.headers.get("host", ""), "127.0.0.1")
        if request.method == "POST":
            State(0.5).control(data[at : at + request.length])
    return got


def corpus(name: str) -> list[bytes]:
    folder = Path(__file__).parent / "corpus" / name
    return [path.read_bytes() for path in sorted(folder.glob("*"))]


CFG_WORDS = (b"[net]", b"[convolutional]", b"[yolo]", b"[route]", b"[upsample]", b"groups=", b"dilation=",
             b"=-1", b"=0", b"=99999999999", b"=1e999", b"nan", b"\n", b",", b"mask=", b"layers=", b"[reorg]",
             b"[local]")
JSON_WORDS = (b"[", b"{", b"null", b"1e999", b"-1", b"0", b"99999999999999999999", b"NaN", b'""', b"true",
              b"[]")
POST = (b"POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 15\r\n\r\n{\"thresh\": 0.5}")
HTTP_WORDS = (b"\r\n", b": ", b"Content-Length: ", b"Transfer-Encoding: chunked", b"HTTP/1.0", b"[::1]:80",
              b"Host: ", b"\0", b"-1", b"\xff")
TARGETS = {
    "cfg": Target(cfg, cfgs, CFG_WORDS, 1 << 10),
    "annotation": Target(annotation, lambda: [annotate(graph().cfg, plan()).encode()],
                         (b"fuse_", b"grid=1x1", b"grid=", b"x", b"=-1", b"=0", b"streamed", b"\n")),
    "weights": Target(on_file("weights", lambda path: weight_offsets(graph(), path)),
                      lambda: [b"\0\0\0\0\2\0\0\0\0\0\0\0" + bytes(n) for n in (4, 8, 4000)],
                      (b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\xe8\3\0\0"), 1 << 14),
    "names": Target(on_file("names", read_names), lambda: [b"cat\ndog\n", b"\xef\xbb\xbfcat\r\n"],
                    (b"\0", b"\n", b"\r", b"\xff")),
    "data": Target(on_file("data", read_data), lambda: [b"classes= 3\nnames = a.names # x\n"],
                   (b"=", b"names", b"classes", b"\n", b"#", b"\0", b"99999999999999")),
    "plan": Target(on_file("plan", plan_json), lambda: [plan().to_json().encode()], JSON_WORDS, 1 << 14),
    "notation": Target(notation, lambda: [b"2x2/1/1x1", b"5x5/3/2x2", b"streamed", b"1x1s/2/4x1f"],
                       (b"x", b"/", b"-", b"99999999999", b"0", b"s", b"f")),
    "device": Target(on_file("device", load_device), lambda: [BUILTIN["rpi4"].to_json().encode()],
                     JSON_WORDS),
    "labels": Target(on_file("labels", labels), lambda: [b"0 .5 .5 .25 .25\n2 0.1 0.1 0.1 0.1\n"],
                     (b"nan", b"inf", b"-1", b"1e999", b"\n", b" ", b"9" * 400)),
    "http": Target(http, lambda: [b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", POST],
                   HTTP_WORDS, 9000),
    "sockets": Target(lambda data: sockets.ask(sockets.page(), data), lambda: sockets.page_seeds(POST),
                      HTTP_WORDS, 9000),
    "picture": Target(on_file("picture", pictures.read, pictures.prepared), pictures.seeds, pictures.WORDS),
}
if sockets.can_serve():
    TARGETS["upload"] = Target(uploads.read, uploads.seeds, uploads.WORDS)
    TARGETS["serve"] = Target(lambda data: sockets.ask(sockets.serving().door, data), sockets.service_seeds,
                              HTTP_WORDS + uploads.WORDS, 1 << 16)
    TARGETS["mqtt"] = Target(lambda data: messages.broker().tell(data), messages.mqtt_seeds,
                             messages.MQTT_WORDS)
    TARGETS["zmq"] = Target(messages.asked, messages.zmq_seeds, messages.ZMQ_WORDS)
    TARGETS["detector"] = Target(lambda data: messages.frigate().ask(data), messages.zmq_seeds,
                                 messages.ZMQ_WORDS)
