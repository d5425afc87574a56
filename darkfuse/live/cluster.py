"""Labelling with the processes of a Dask cluster: its scheduler hands out pictures, its workers look at them.

Dask has the queue, the transport, the dashboard, and runs again elsewhere what a worker had when it was lost.
Ours is the engine, one a worker process, which stays from one lot of pictures to the next; and that no more
lots are underway than workers can do soon, so that a collection of millions takes no room in the scheduler.
Lines are written by the one process that asked for them, so none is there twice.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from darkfuse.errors import DarkfuseError
from darkfuse.host import process
from darkfuse.host.extras import need
from darkfuse.live.label import Labels, look
from darkfuse.live.sources import Item

if TYPE_CHECKING:
    from darkfuse.session.network import Network

AHEAD = 2  # lots a worker has, so that the next is there when one is done
WAIT_SECONDS = 60  # for the first worker
# What a worker process takes beside its network, once that is there: lots that come, answers that go
BESIDE_BYTES = 12 << 20


class Settings(NamedTuple):
    """What a worker needs to know: keywords of `load` and of `Network.detect`. Paths are whole ones."""

    load: tuple[tuple[str, Any], ...]
    answers: tuple[tuple[str, Any], ...]


class Cluster:
    """Workers of a scheduler that runs already, or of this machine for as long as this is open.

    Parameters
    ----------
    address : str
        Of the scheduler, `tcp://host:8786`; or of workers to start here: `local:2`.
    settings : Settings
        Where they do not say how many threads or how much memory, a worker has its part of this machine, or
        the threads Dask gave it.

    Raises
    ------
    DarkfuseError
        No scheduler answers, no worker comes, or Dask is not installed.
    """

    def __init__(self, address: str, settings: Settings) -> None:
        self._dask: Any = need("distributed", "--workers" if local(address) else "--dask")
        self._address, self._settings = address, settings
        self._open = contextlib.ExitStack()
        try:
            self._client = self._connect()
            self._client.wait_for_workers(1, WAIT_SECONDS)
        except (OSError, ValueError, RuntimeError) as error:  # TimeoutError; a worker that died as it began
            self._open.close()
            raise DarkfuseError(f"{address}: no Dask scheduler with workers answers: {error}") from None
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def dashboard(self) -> str:
        """Where the scheduler's own page is."""
        return str(self._client.dashboard_link)

    def looks(self, lots: Iterator[list[Item]]) -> Iterator[Labels]:
        """Labels of lots of pictures, as they come.

        Raises
        ------
        DarkfuseError
            A worker cannot load the network, workers died over one lot again and again, or the scheduler is
            gone.
        """
        underway = self._dask.as_completed()
        try:
            for lot in lots:
                while underway.count() >= AHEAD * max(1, len(self._client.nthreads())):
                    yield self._labels(next(underway))
                whole = [item._replace(image=os.path.abspath(item.image))
                         if isinstance(item.image, str) else item for item in lot]
                underway.add(self._client.submit(look_there, self._settings, whole, pure=False))
            for future in underway:
                yield self._labels(future)
        except (self._dask.CancelledError, OSError) as error:
            if isinstance(error, OSError) and error.filename:
                raise
            raise DarkfuseError(f"{self._address}: the scheduler is gone; go on with --resume") from None

    def _labels(self, future: Any) -> Labels:
        try:
            return Labels(*future.result())
        except self._dask.KilledWorker as error:
            raise DarkfuseError(f"{self._address}: {error.allowed_failures + 1} workers died, one after "
                                "another, with the same pictures: have they memory for --mem and for "
                                "Dask? Go on with --resume") from None
        except ModuleNotFoundError as error:
            raise DarkfuseError(f"{self._address}: its workers lack {error.name}; install what is here there "
                                "as well") from None

    def _connect(self) -> Any:
        count = local(self._address)
        if not count:
            return self._open.enter_context(self._dask.Client(self._address, timeout="10s"))
        cores = process.cpu_count()
        self._settings = parts(self._settings, count, cores, process.free_bytes())
        # Each keeps to its own budget: Dask need not watch over it
        workers = self._dask.LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, memory_limit=0, host="127.0.0.1",
            dashboard_address="127.0.0.1:0", silence_logs=logging.ERROR)
        self._open.enter_context(workers)
        return self._open.enter_context(self._dask.Client(workers))


def local(address: str) -> int:
    """Workers to start on this machine, 0 where `address` is a scheduler's."""
    kind, _, count = address.partition(":")
    return int(count) if kind == "local" and count.isdecimal() else 0


def parts(settings: Settings, workers: int, cores: int, free: int | None) -> Settings:
    """What each of several workers of one machine may have, where the settings do not say."""
    load = dict(settings.load)
    if load.get("threads") is None:
        load["threads"] = max(1, cores // workers)
    if load.get("mem") is None and free is not None:
        load["mem"] = free // (workers + 1)
    return settings._replace(load=tuple(load.items()))


# -- in a worker process ------------------------------------------------------------------------------

_lock = threading.Lock()  # workers may have several threads; the engine has its own
_there: tuple[Settings, Network] | None = None


def look_there(settings: Settings, lot: list[Item]) -> tuple[Any, ...]:
    """Look at some pictures in a worker process, with its engine; the fields of their `Labels`.

    Raises
    ------
    DarkfuseError
        The network cannot be loaded there.
    """
    with _lock:
        return tuple(look(_network(settings), lot, dict(settings.answers)))


def _network(settings: Settings) -> Network:
    """This process's network: the one it has, where that is what is asked for."""
    global _there
    if _there is None or _there[0] != settings:
        from distributed import get_worker

        from darkfuse.session.network import load

        if _there is not None:
            _there[1].close()
            _there = None
        options = dict(settings.load)
        options["threads"] = options["threads"] or get_worker().state.nthreads
        _there = settings, load(**options, beside_bytes=BESIDE_BYTES)
    return _there[1]
