"""Peers kept alive side by side and driven in turns, so that noise of the machine hits all alike."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from darkfuse.errors import DarkfuseError
from tools.bench.peer import Job

ROOT = Path(__file__).resolve().parent.parent.parent
WORKER = ROOT / "tools" / "bench" / "worker.py"
WARM_UP_FRAMES = 2
FRAMES_A_TURN = 3  # the first of them refills the caches and is not counted


@dataclass
class Lane:
    """What one peer did at one size and thread count."""

    name: str
    turns_ms: list[float] = field(default_factory=list)  # best counted frame of each turn
    load_ms: float = 0.0
    peak_bytes: int = 0
    outputs: list[np.ndarray] = field(default_factory=list)
    error: str = ""

    @property
    def median_ms(self) -> float:
        return float(np.median(self.turns_ms))


class _Worker:
    """A worker process; stopped by signal while others have their turn (idle threads of runtimes spin)."""

    def __init__(self, name: str, threads: int, job_file: str, log: str) -> None:
        self.log = log
        with open(log, "w") as sink:
            self.process = subprocess.Popen(
                worker_command(name, threads, job_file),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
            )
        self.load_ms = float(self._reply()["load_ms"])
        self.process.send_signal(signal.SIGSTOP)

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        reply = self._reply()
        self.process.send_signal(signal.SIGSTOP)
        return reply

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _reply(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            last = Path(self.log).read_text(errors="replace").strip().splitlines()[-1:]
            raise DarkfuseError(f"it ended with status {status}" + (f": {last[0]}" if last else ""))
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            self.process.wait()
            raise DarkfuseError(reply["error"])
        return reply


def worker_command(name: str, threads: int, job_file: str, *options: str) -> list[str]:
    """Command line of one worker. With -m the checkout, built or not, would hide an installed darkfuse."""
    return [sys.executable, str(WORKER), name, str(threads), job_file, *options]


def ask_worker(name: str, job_file: str, option: str) -> dict[str, Any]:
    """Run a worker that answers once (`--version`, `--prepare`)."""
    done = subprocess.run(
        worker_command(name, 1, job_file, option), check=False, capture_output=True, text=True
    )
    if not done.stdout:
        last = done.stderr.strip().splitlines()[-1:] or [f"it ended with status {done.returncode}"]
        return {"error": last[0]}
    reply: dict[str, Any] = json.loads(done.stdout)
    return reply


def write_job(job: Job, path: str) -> None:
    Path(path).write_text(json.dumps(asdict(job)))


def race(names: Sequence[str], threads: int, rounds: int, job: Job) -> list[Lane]:
    """Measure peers against each other, whose models are prepared, over `rounds` turns each.

    A peer that fails gets the reason in its lane's `error`; the others go on.
    """
    job_file = job.file("job.json")
    lanes = [Lane(name) for name in names]
    workers: dict[str, _Worker] = {}
    try:
        for lane in lanes:
            try:
                worker = _Worker(lane.name, threads, job_file, job.file(f"{lane.name}.log"))
                workers[lane.name] = worker
                lane.load_ms = worker.load_ms
                worker.ask(f"run {WARM_UP_FRAMES}")
            except DarkfuseError as error:
                lane.error = str(error)
        for _ in range(rounds):
            for lane in lanes:
                if not lane.error:
                    _turn(lane, workers[lane.name])
        for lane in lanes:
            if not lane.error:
                _finish(lane, workers[lane.name], job.file(f"{lane.name}-{os.getpid()}.npz"))
    finally:
        for worker in workers.values():
            worker.close()
    return lanes


def _turn(lane: Lane, worker: _Worker) -> None:
    try:
        lane.turns_ms.append(min(worker.ask(f"run {FRAMES_A_TURN}")["ms"][1:]))
    except DarkfuseError as error:
        lane.error = str(error)


def _finish(lane: Lane, worker: _Worker, saved: str) -> None:
    lane.peak_bytes = int(worker.ask("peak")["peak_bytes"])
    worker.ask(f"save {saved}")
    with np.load(saved) as arrays:
        lane.outputs = [arrays[name] for name in arrays.files]
    Path(saved).unlink()
