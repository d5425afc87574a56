"""One run of `darkfuse serve`: opens the door, loads the network, looks at picture after picture."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.host.extras import need
from darkfuse.host.nameless import folders
from darkfuse.host.notify import notify
from darkfuse.host.record import dataclass, field
from darkfuse.live.serve.deepstack import DeepStack
from darkfuse.live.serve.door import Door, read_token, refusal
from darkfuse.live.serve.elastic import Elastic
from darkfuse.live.serve.form import Told, told
from darkfuse.live.serve.log import Log
from darkfuse.live.serve.metrics import Metrics
from darkfuse.live.serve.queue import Job, Queue
from darkfuse.live.web.http import Refused

if TYPE_CHECKING:
    from darkfuse.session.network import Network

APIS = ("obico", "deepstack", "codeproject")
BESIDE_BYTES = 2 << 20  # what connections, queues and answers take once the network is planned
TICK_S = 0.5
ALIVE_S = 5.0  # between two signs of life for a service manager


@dataclass(frozen=True)
class Wishes:
    """What a person asked for; `loading` and `answers` are keywords of `load` and `Network.detect`."""

    cfg: str | None = None
    weights: str | None = None
    names: str | None = None
    mem: str | None = None
    loading: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    http: tuple[str, int] = ("127.0.0.1", 8080)
    api: tuple[str, ...] = APIS
    token_file: str | None = None
    host_names: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    queue: int = 16
    deadline: float = 30.0
    most: int = 20 << 20
    log: str = "text"
    mqtt: str | None = None
    zmq: str | None = None


def run(wishes: Wishes) -> None:
    """Serve until somebody ends it.

    Raises
    ------
    DarkfuseError
        Address, network or budget do not work.
    """
    with contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGTERM, signal.default_int_handler)
            stack.callback(signal.signal, signal.SIGTERM, before)
        with contextlib.suppress(KeyboardInterrupt):
            serving = Serving(wishes, stack)
            while True:
                serving.turn(TICK_S)


class Serving:
    """The service and its network; everything opened is closed by `stack`."""

    def __init__(self, wishes: Wishes, stack: contextlib.ExitStack) -> None:
        self.wishes = wishes
        need("multipart", "serve")
        self.metrics, self.jobs = Metrics(), Queue(wishes.queue)
        self.net: Network | None = None
        self.door = self._open(stack)
        self._service.gauges, self._service.ready = self._gauges, lambda: self.door.ready
        if wishes.mqtt is not None:  # before memory is shared out: its code counts too
            from darkfuse.live.mqtt import Publisher, classes_of
        beside = BESIDE_BYTES
        if wishes.zmq is not None:
            from darkfuse.live.serve import zmq

            beside += zmq.BESIDE_BYTES
        self.net = stack.enter_context(self._load(beside))
        self._warm()
        self.elastic = Elastic(self.net, self.jobs.wake)
        self.door.routes += self.elastic.routes()
        for number, before in self.elastic.listen():
            stack.callback(signal.signal, number, before)
        self.publisher = Publisher(wishes.mqtt, classes_of(self.net), stack) if wishes.mqtt else None
        self.frigate = zmq.Detector(wishes.zmq, self.net, self.jobs, stack) if wishes.zmq else None
        self.door.ready = True
        notify("READY=1")
        self._told = time.monotonic()
        budget = self.net.budget.total
        say(f"serving {os.path.basename(self.net.graph.path)} at {self.door.url}"
            + (f" within {budget >> 20}M" if budget else ""))

    def turn(self, seconds: float) -> None:
        """Look at the next picture, if one comes within so long."""
        now = time.monotonic()
        self.elastic.step(now)
        if now - self._told >= ALIVE_S:
            self._told = now
            notify("WATCHDOG=1")
        job = self.jobs.take(seconds)
        if self.publisher is not None and job is None:
            self.publisher.clear(self.net.budget.total if self.net is not None else None)
        if job is not None and job.run is not None:
            if not job.dead:
                job.run()
        elif job is not None:
            try:
                self._look(job)
            finally:
                job.call.close()

    def _open(self, stack: contextlib.ExitStack) -> Door:
        from darkfuse.live.serve import own
        from darkfuse.live.serve.service import Service
        from darkfuse.model.locate import DEFAULT_CFG

        wishes = self.wishes
        token = read_token(wishes.token_file) if wishes.token_file else b""
        service = Service(self.metrics, bool(token))
        routes = own.routes()
        fetcher = None
        if "obico" in wishes.api:
            from darkfuse.live.serve import obico
            from darkfuse.live.serve.fetch import Rules
            from darkfuse.live.serve.fetcher import Fetcher

            routes += obico.routes()
            fetcher = Fetcher(Rules(list(wishes.allow)), wishes.most, wishes.queue)
            stack.callback(fetcher.close)
        if "deepstack" in wishes.api or "codeproject" in wishes.api:
            name = os.path.splitext(os.path.basename(wishes.cfg or DEFAULT_CFG))[0]
            routes += DeepStack(name, "codeproject" in wishes.api).routes()
        routes += service.routes()
        service.describe(routes)
        door = Door(*wishes.http, routes, self.jobs, self.metrics, Log(wishes.log), token, wishes.host_names,
                    wishes.deadline, wishes.most, fetcher)
        stack.callback(door.close)
        self._service = service
        if fetcher is not None:
            fetcher.start(door)
        return door

    def _load(self, beside: int) -> Network:
        from darkfuse.session.network import load

        wishes = self.wishes
        return load(wishes.cfg, wishes.weights, mem=wishes.mem, names=wishes.names,
                    beside_bytes=beside, **wishes.loading)

    def _warm(self) -> None:
        """One frame before anybody waits for one: what is wrong with the network is said now."""
        assert self.net is not None
        grey = memoryview(bytes(48)).cast("B", (4, 4, 3))
        self.net.detect(grey, **self.wishes.answers)
        self.door.frame_s = self.net.stats["latency_ms"] / 1000

    def _look(self, job: Job) -> None:
        """Detect in one picture, and answer who waits for it."""
        call, door = job.call, self.door
        if job.dead:
            return
        if door.expired(call):
            door.finish(call, refusal(call.route, Refused(504, message="it had to wait too long")))
            return
        began = time.monotonic()
        job.seconds["queue"] = began - call.queued
        try:
            said = self._answer(job, began)
        except ImageError as error:
            words = str(error).replace(call.picture.path, "the picture")
            said = refusal(call.route, Refused(400, message=words))
        except DarkfuseError as error:
            say(str(error))
            said = refusal(call.route, Refused(500, message=str(error)))
        door.finish(call, said)

    def _answer(self, job: Job, began: float) -> Told:
        net, call, metrics = self.net, job.call, self.metrics
        assert net is not None
        answers = dict(call.route.defaults)
        for given in (self.wishes.answers, call.ask.answers):  # the form's, the command's, the request's
            answers.update({name: value for name, value in given.items() if value is not None})
        result = net.detect(call.picture.path, **answers)
        now = time.monotonic()
        network = net.stats["latency_ms"] / 1000
        job.seconds.update(network=network, picture=max(0.0, now - began - network))
        job.objects = len(result)
        metrics.frame([d.name for d in result], net.stats["bytes_read"])
        self.door.frame_s += (now - began - self.door.frame_s) / 8
        if self.publisher is not None:
            self.publisher.see((d.name for d in result), 1 / self.door.frame_s, net.budget.total)
            if len(result) and self.publisher.wants_image():
                self.publisher.show(self._drawn(result))
        if call.ask.annotate:
            return Told(200, "image/jpeg", self._drawn(result))
        milliseconds = {stage: round(value * 1000, 2) for stage, value in job.seconds.items()}
        milliseconds["detect"] = round((now - began) * 1000, 2)
        milliseconds["total"] = round((now - call.began) * 1000, 2)
        return told(call.route.tell(result, milliseconds))

    def _drawn(self, result: Any) -> bytes:
        """The picture with its boxes, as a JPEG file's bytes."""
        assert self.net is not None
        name = f".darkfuse-{os.urandom(8).hex()}.jpg"
        folder = next((folder for folder in folders() if os.access(folder, os.W_OK)), ".")
        path = os.path.join(folder, name)
        try:
            self.net.draw(result, path)
            with open(path, "rb") as file:
                return file.read()
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _gauges(self) -> dict[str, Any]:
        """What holds now, for the metrics; called from the server's thread."""
        budget = self.net.budget.total if self.net is not None else None
        return {
            "memory": {"budget": budget},
            "queue_length": ("Pictures waiting.", len(self.jobs)),
            "queue_limit": ("Most pictures that may wait.", self.jobs.most),
            "connections": ("Connections open.", self.door.viewers),
            "budget_changes": ("Times the budget changed.", self.elastic.changes if self.door.ready else 0),
            "ready": ("Whether the network is loaded.", int(self.door.ready)),
            "frame_seconds": ("What a picture takes at the moment.", round(self.door.frame_s, 4)),
        }


def say(line: str) -> None:
    """One line to the person, on standard error."""
    sys.stderr.write(f"darkfuse: {line}\n")
    sys.stderr.flush()
