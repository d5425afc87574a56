#!/usr/bin/env python3
"""Latency against memory, ours and others', each in a memory cgroup of its own: docs/results/prove.json.

    prove.py --models yolov2 --limits 16M,32M,48M,64M,128M,256M,512M,1024M --swap no,yes --rates full,22M
    prove.py --plot             # draw docs/images/prove-*.svg from the results

One process a cell; a cell that is in the file already is not measured again (`--again` does), so that a run
that was broken off goes on. Programs: darkfuse as it plans, darkfuse held to the paper's best configuration
and to one layer after the other (as Darknet runs), and the other runtimes that are installed. Where the
machine has no swap, a swap file is made for the run and removed. Rates hold the disk, swap included (blkio of
cgroup v1).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
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
PEERS = ("ncnn", "onnxruntime", "opencv")
SWAP_BYTES = 4 << 30


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

    def paper(self, limit: int) -> str:
        """The paper's best configuration for that much memory, or its smallest."""
        try:
            plan = self.planner.fastest(limit, "mafat").plan
        except BudgetError:
            plan = mafat_smallest(self.planner.graph, self.threads)
        return format_plan(plan, self.planner.graph)

    def predicted(self, limit: int) -> float | None:
        """Milliseconds the planner expects of a budget; None where nothing fits."""
        try:
            return round(self.planner.fastest(limit).prediction.ms, 1)
        except BudgetError:
            return None


def ours(model: Model, program: str, limit: int, swap: bool, rate: int | None, frames: int,
         wait: float) -> Row:
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
    usage = run(words, limit, swap=swap, cold=[model.weights], timeout=wait, capture=True, cwd=str(ROOT),
                read_rate=rate)
    common: dict[str, Any] = {"what": program, "limit": limit, "swap": swap, "threads": model.threads,
                              "group_peak": usage.peak_bytes, "swap_peak": usage.swap_peak_bytes,
                              "major_faults": usage.major_faults}
    if usage.status or usage.timed_out:
        return Row(**common, fate=fate(usage))
    stats = [frame["stats"] for frame in json.loads(report.read_text())]
    return Row(**common, fate="ran", frame_ms=settled([frame["latency_ms"] for frame in stats]),
               process_peak=max(frame["peak_rss_bytes"] for frame in stats), arena=stats[-1]["arena_bytes"],
               read_a_frame=stats[-1]["bytes_read"])


def theirs(model: Model, name: str, limit: int, swap: bool, rate: int | None, wait: float) -> Row:
    """A peer's worker, whose model is prepared."""
    cold = [model.weights, *(str(p) for p in Path(model.job.folder).iterdir() if p.is_file())]
    words = worker_command(name, model.threads, model.job.file("job.json"), "--frames", "3")
    usage = run(words, limit, swap=swap, cold=cold, timeout=wait, capture=True, cwd=str(ROOT), read_rate=rate)
    reply = json.loads(usage.stdout.splitlines()[-1]) if usage.stdout.strip() else {}
    end = "ran" if fate(usage) == "ran" and "ms" in reply else reply.get("error") or fate(usage)
    return Row(what=name, limit=limit, swap=swap, threads=model.threads, fate=end,
               frame_ms=settled(reply["ms"]) if end == "ran" else 0.0,
               process_peak=reply.get("peak_bytes", 0), group_peak=usage.peak_bytes,
               swap_peak=usage.swap_peak_bytes, major_faults=usage.major_faults)


def measure(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Fill in the cells asked for, and save after each."""
    cells: dict[str, Any] = results.setdefault("cells", {})
    rates = {word: None if word == "full" else parse_bytes(word) for word in options.rates}
    for name in options.models:
        with tempfile.TemporaryDirectory(prefix="darkfuse-prove-", dir=options.scratch) as folder:
            model, ready = Model(name, Path(folder), options.threads), dict.fromkeys(OURS, True)
            ended: dict[tuple[str, str, str], int] = {}  # the limit that killed a program
            with swap_space(folder) if "yes" in options.swap else contextlib.nullcontext():
                todo = [(rate, swap, limit, program) for rate in rates for swap in options.swap
                        for program in options.programs for limit in sorted(options.limits, reverse=True)]
                for done, (rate, swap, limit, program) in enumerate(todo):
                    key = " ".join((name, program, format_bytes(limit), f"swap={swap}", f"rate={rate}",
                                    f"threads={options.threads}"))
                    if key in cells and not options.again:
                        continue
                    if program not in ready:
                        reply = ask_worker(program, model.job.file("job.json"), "--prepare")
                        ready[program] = "error" not in reply
                        if not ready[program]:
                            print(f"{program}: left out: {reply['error']}", file=sys.stderr)
                    if not ready[program]:
                        continue
                    words = (model, program, limit, swap == "yes", rates[rate])
                    if limit < ended.get((rate, swap, program), 0):
                        row = Row(program, limit, swap == "yes", options.threads, "ended in more already")
                    elif program in OURS:
                        row = ours(*words, options.frames, options.timeout)
                    else:
                        row = theirs(*words, options.timeout)
                    if row.fate in ("killed", "too slow"):
                        ended[rate, swap, program] = limit
                    cells[key] = {**asdict(row), "model": name, "rate": rate, "commit": commit()}
                    if program == "darkfuse" and rates[rate] is None:
                        cells[key]["predicted_ms"] = model.predicted(limit)
                    said = f"{row.frame_ms:.0f} ms" if row.fate == "ran" else row.fate
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
