#!/usr/bin/env python3
"""Latency against memory, ours and others', each in a memory cgroup of its own: docs/results/prove.json.

    prove.py --models yolov2 --limits 16M,32M,48M,64M,128M,256M,512M,1024M --swap no,yes --rates full,22M
    prove.py --plot             # draw docs/images/prove-*.svg from the results

One process a cell and turn; a turn that is in the file already is not measured again (`--again` does), so
that a run that was broken off goes on. In a turn the programs take a limit one after the other, the largest
limit first, and a cell's time is the median of its turns: a machine that is slow for a minute is slow for
all of them. Programs: darkfuse as it plans, darkfuse held to the paper's best configuration and to one layer
after the other (as Darknet runs), and the other runtimes that are installed. Where the machine has no swap,
a swap file is made for the run and removed. Rates hold the disk, swap included (blkio of cgroup v1).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import BudgetError, DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.host.files import write_whole
from darkfuse.host.interrupt import end_cleanly
from darkfuse.host.units import format_bytes, parse_bytes
from darkfuse.plan.price.device import load_device
from darkfuse.plan.search.mafat import mafat_smallest
from darkfuse.plan.show.notation import format_plan
from darkfuse.session.whatif import Planner
from tools.bench.peer import Job
from tools.bench.race import ROOT, ask_worker, worker_command, write_job
from tools.bench_memory import Row, fate, make_picture, settled, sizes
from tools.bench_peers import resized_cfg
from tools.cgroup import machine_swap
from tools.make_weights import make_weights
from tools.memory_limit import run

RESULTS = ROOT / "docs" / "results" / "prove.json"
OURS = ("darkfuse", "paper", "layers")
PEERS = ("ncnn", "mnn", "onnxruntime", "opencv")
SWAP_BYTES = 4 << 30
PEER_FRAMES = 3
TIMES = ("frame_ms", "first_ms", "start_ms")  # steady frame, first frame, everything before and after them
PEAKS = ("process_peak", "group_peak", "swap_peak")


def machine() -> dict[str, Any]:
    """What was measured on."""
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return {"processor": names[0] if names else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release()}


def commit() -> str:
    """The revision of the checkout, `+` where it was changed."""
    said = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"],
                          capture_output=True, text=True)
    return said.stdout.strip()


@contextlib.contextmanager
def swap_space(folder: str) -> Iterator[None]:
    """Swap of this machine's own, or a file for the time being."""
    if machine_swap():
        yield
        return
    path = os.path.join(folder, "swap")
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, SWAP_BYTES)
    os.chmod(path, 0o600)
    for words in (["mkswap", path], ["swapon", path]):
        if subprocess.run(words, capture_output=True).returncode:
            raise DarkfuseError(f"{words[0]} {path} failed: there is no swap, and none can be made (root?)")
    print("no swap here: a swap file is made for this run", file=sys.stderr)
    try:
        yield
    finally:
        subprocess.run(["swapoff", path], check=True)


class Model:
    """One network's files, and its peers' models, in a folder of their own."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        cfg, _, size = name.partition("@")
        graph = load_graph(str(ROOT / "cfg" / f"{cfg}.cfg"))
        self.name, self.threads, self.folder = name, threads, folder
        self.size = int(size) if size else graph.input.w
        self.cfg = folder / f"{cfg}.cfg"
        text = resized_cfg(str(ROOT / "cfg" / f"{cfg}.cfg"), self.size)
        self.cfg.write_text(text, errors="surrogateescape")
        self.weights, self.image = str(folder / "random.weights"), str(folder / "picture.jpg")
        make_weights(load_graph(str(self.cfg)), self.weights, 1)
        make_picture(self.image)
        self.job = Job(str(self.cfg), self.weights, str(folder / "models"), self.size, 1)
        Path(self.job.folder).mkdir()
        write_job(self.job, self.job.file("job.json"))
        self.planner = Planner(load_graph(str(self.cfg)), load_device(), threads)
        self.expected: dict[int, float | None] = {}

    def paper(self, limit: int) -> str:
        """The paper's best configuration for that much memory, or its smallest."""
        try:
            plan = self.planner.fastest(limit, "mafat").plan
        except BudgetError:
            plan = mafat_smallest(self.planner.graph, self.threads)
        return format_plan(plan, self.planner.graph)

    def predicted(self, limit: int) -> float | None:
        """Milliseconds the planner expects of a budget; None where nothing fits."""
        if limit not in self.expected:
            try:
                self.expected[limit] = round(self.planner.fastest(limit).prediction.ms, 1)
            except BudgetError:
                self.expected[limit] = None
        return self.expected[limit]


def ours(model: Model, program: str, limit: int, swap: bool, rate: int | None, frames: int,
         wait: float, watch: Any = None) -> dict[str, Any]:
    """`darkfuse detect` of one picture, `frames` times over."""
    report = model.folder / "report.json"
    report.unlink(missing_ok=True)
    words = [sys.executable, "-m", "darkfuse", "detect", str(model.cfg), model.weights]
    words += [model.image] * frames + ["--threads", str(model.threads), "--no-draw", "--json", str(report)]
    if program == "paper":
        words += ["--plan", model.paper(limit), "--mem", "resident"]
    elif program == "layers":
        words += ["--plan", "p", "--mem", "resident"]
    elif model.predicted(limit) is None and swap:
        words += ["--mem", "small"]
    else:
        words += ["--mem", format_bytes(limit)]
    if rate:  # as a profile says it that `darkfuse calibrate` made on that storage
        words += ["--read-bandwidth", str(rate)]
    usage = run(words, limit, swap=swap, cold=[model.weights], timeout=wait, capture=True, cwd=str(ROOT),
                read_rate=rate, watch=watch)
    common: dict[str, Any] = {"what": program, "limit": limit, "swap": swap, "threads": model.threads,
                              "group_peak": usage.peak_bytes, "swap_peak": usage.swap_peak_bytes,
                              "major_faults": usage.major_faults}
    if usage.status or usage.timed_out:
        return asdict(Row(**common, fate=fate(usage)))
    stats = [frame["stats"] for frame in json.loads(report.read_text())]
    times = [frame["latency_ms"] for frame in stats]
    row = Row(**common, fate="ran", frame_ms=settled(times), arena=stats[-1]["arena_bytes"],
              process_peak=max(frame["peak_rss_bytes"] for frame in stats),
              read_a_frame=stats[-1]["bytes_read"])
    return {**asdict(row), "first_ms": times[0], "start_ms": usage.wall_seconds * 1000 - sum(times)}


def theirs(model: Model, name: str, limit: int, swap: bool, rate: int | None, wait: float,
           watch: Any = None) -> dict[str, Any]:
    """A peer's worker, whose model is prepared."""
    cold = [model.weights, *(str(p) for p in Path(model.job.folder).iterdir() if p.is_file())]
    words = worker_command(name, model.threads, model.job.file("job.json"), "--frames",
                           str(PEER_FRAMES))
    usage = run(words, limit, swap=swap, cold=cold, timeout=wait, capture=True, cwd=str(ROOT), read_rate=rate,
                watch=watch)
    reply = json.loads(usage.stdout.splitlines()[-1]) if usage.stdout.strip() else {}
    end = "ran" if fate(usage) == "ran" and "ms" in reply else reply.get("error") or fate(usage)
    row = Row(what=name, limit=limit, swap=swap, threads=model.threads, fate=end,
              process_peak=reply.get("peak_bytes", 0), group_peak=usage.peak_bytes,
              swap_peak=usage.swap_peak_bytes, major_faults=usage.major_faults)
    if end != "ran":
        return asdict(row)
    times = reply["ms"]
    return {**asdict(row), "frame_ms": settled(times), "first_ms": times[0],
            "start_ms": usage.wall_seconds * 1000 - sum(times)}


def add_turn(cell: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """A cell with one more turn: medians of times, most of the bytes, and the worst that happened."""
    turns = cell.get("turns", [])
    whole = {**row, "turns": [*turns, {name: round(row.get(name, 0.0), 1) for name in TIMES}]}
    if cell.get("fate", "ran") != "ran" and row["fate"] == "ran":
        whole["fate"] = cell["fate"]
    for name in TIMES if whole["fate"] == "ran" else ():
        whole[name] = round(statistics.median(turn[name] for turn in whole["turns"]), 1)
    for name in PEAKS:
        whole[name] = max(row[name], cell.get(name, 0))
    return whole if whole["fate"] == "ran" else {**whole, **dict.fromkeys(TIMES, 0.0)}


def prepared(program: str, model: Model) -> bool:
    """Whether a peer is here and has converted the model; says why not."""
    reply = ask_worker(program, model.job.file("job.json"), "--prepare")
    if "error" in reply:
        print(f"{program}: left out: {reply['error']}", file=sys.stderr)
    return "error" not in reply


def measure(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Fill in the cells asked for, and save after each."""
    cells: dict[str, Any] = results.setdefault("cells", {})
    rates = {word: None if word == "full" else parse_bytes(word) for word in options.rates}
    for name in options.models:
        with tempfile.TemporaryDirectory(prefix="darkfuse-prove-", dir=options.scratch) as folder:
            model = Model(name, Path(folder), options.threads)
            ended: dict[tuple[str, str, str], int] = {}  # the limit that killed a program
            with swap_space(folder) if "yes" in options.swap else contextlib.nullcontext():
                programs = [name for name in options.programs if name in OURS or prepared(name, model)]
                todo = [(turn, rate, swap, limit, program) for turn in range(options.turns) for rate in rates
                        for swap in options.swap for limit in sorted(options.limits, reverse=True)
                        for program in programs]
                for done, (turn, rate, swap, limit, program) in enumerate(todo):
                    key = " ".join((name, program, format_bytes(limit), f"swap={swap}", f"rate={rate}",
                                    f"threads={options.threads}"))
                    cell = cells.get(key, {}) if turn or not options.again else {}
                    if turn < len(cell.get("turns", [])):
                        continue
                    words = (model, program, limit, swap == "yes", rates[rate])
                    if limit < ended.get((rate, swap, program), 0):
                        row = asdict(Row(program, limit, swap == "yes", options.threads,
                                         "ended in more already"))
                    elif program in OURS:
                        row = ours(*words, options.frames, options.timeout)
                    else:
                        row = theirs(*words, options.timeout)
                    row["fate"] = row["fate"].replace(f"{model.folder}/", "")
                    if row["fate"] in ("killed", "too slow"):
                        ended[rate, swap, program] = limit
                    cells[key] = {**add_turn(cell, row), "model": name, "rate": rate, "commit": commit()}
                    if program == "darkfuse" and rates[rate] is None:
                        cells[key]["predicted_ms"] = model.predicted(limit)
                    said = f"{row['frame_ms']:.0f} ms" if row["fate"] == "ran" else row["fate"]
                    print(f"{done + 1}/{len(todo)} {key}: {said}", file=sys.stderr)
                    write_whole(str(RESULTS), json.dumps(results, indent=1) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    def words(text: str) -> list[str]:
        return text.split(",")

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=words, default=["yolov2"], help="of cfg/, or NAME@SIZE (yolov2)")
    parser.add_argument("--limits", type=sizes, default=sizes("16M,24M,32M,48M,64M,96M,128M,256M,512M,1024M"))
    parser.add_argument("--swap", type=words, default=["no"], help="no, yes or both (no)")
    parser.add_argument("--rates", type=words, default=["full"], help="of storage: full, 22M, ... (full)")
    parser.add_argument("--programs", type=words, default=[*OURS, *PEERS])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=5, help="of darkfuse in a process; peers run 3")
    parser.add_argument("--turns", type=int, default=3, help="processes a cell (3)")
    parser.add_argument("--timeout", type=float, default=120, help="seconds a process may take (120)")
    parser.add_argument("--scratch", metavar="DIR", help="for weights, models and swap; on a disk")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    parser.add_argument("--plot", action="store_true", help="only draw what is there")
    options = parser.parse_args(argv)
    try:
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"machine": machine()}
        if not options.plot:
            if results["machine"] != machine():
                raise DarkfuseError(f"{RESULTS} was measured on another machine; move it away first")
            measure(options, results)
        from tools.prove_plot import draw_all

        draw_all(results)
    except DarkfuseError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
