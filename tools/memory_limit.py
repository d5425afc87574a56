#!/usr/bin/env python3
"""Run a command in a memory cgroup and say what it took.

    memory_limit.py 48M -- darkfuse detect --mem 48M cfg/yolov2.cfg yolov2.weights dog.jpg

Without --swap the group may not swap, so what does not fit is killed. Everything the command touches first is
charged to it: anonymous memory, page cache and kernel memory alike. A file that is already in the page cache
was charged to whoever read it before: --cold FILE drops it from the cache first (only that file).

Exits with the command's own status (128 + signal when it was killed), or 2 when it could not be run at all.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from darkfuse.host.files import write_whole
from darkfuse.host.units import format_bytes, parse_bytes
from tools.cgroup import Group, Throttle, drop_from_page_cache, machine_swap

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Usage:
    """What a command took, counted by its cgroup (children of the command included).

    Attributes
    ----------
    status : int
        Exit status as a shell gives it: 128 + signal number for a command that was killed.
    oom_kills : int
        Processes the kernel killed because the group was full.
    timed_out : bool
        Whether it was ended because its time was over.
    wall_seconds : float
        From exec to exit.
    peak_bytes : int
        The group's own high-water mark: anonymous memory, page cache and kernel memory.
    swap_peak_bytes : int
        Most swap in use at once. Exact where the kernel keeps the mark (cgroup v2, Linux 6.5), else sampled.
    minor_faults, major_faults : int
        Page faults served from memory, and those that had to wait for a disk.
    limit_bytes : int
        The limit the group had.
    swap_allowed : bool
        Whether the group was allowed to swap.
    machine_swap_bytes : int
        Swap space of the whole machine; 0 means that there is none to use.
    stdout, stderr : str
        What it printed, where capturing was asked for.
    """

    status: int
    oom_kills: int
    timed_out: bool
    wall_seconds: float
    peak_bytes: int
    swap_peak_bytes: int
    minor_faults: int
    major_faults: int
    limit_bytes: int
    swap_allowed: bool
    machine_swap_bytes: int
    stdout: str = ""
    stderr: str = ""


def run(
    command: Sequence[str],
    limit: int | str,
    *,
    swap: bool = False,
    cold: Sequence[str] = (),
    timeout: float | None = None,
    capture: bool = False,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    read_rate: int | None = None,
    watch: Callable[[float, Group], None] | None = None,
) -> Usage:
    """Run a command in a memory cgroup of its own.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; no shell is involved.
    limit : int or str
        Bytes, or text for :func:`darkfuse.host.units.parse_bytes`.
    swap : bool
        Whether the group may swap; without, what does not fit is killed.
    cold : sequence of str
        Files to drop from the page cache first, so that reading them is charged to the group.
    timeout : float, optional
        Seconds after which the whole group is killed.
    capture : bool
        Keep what it prints in the result instead of letting it through.
    cwd, env
        Working directory and environment of the command, as for :class:`subprocess.Popen`.
    read_rate : int, optional
        Bytes a second that the device of the first cold file is held to, swap on it included.
    watch : callable, optional
        Called fifty times a second with the seconds since the start and the group.

    Returns
    -------
    Usage
        Also for a command that failed or was killed.

    Raises
    ------
    DarkfuseError
        When cgroups are not writable, the limit is refused, or the command cannot be started.
    """
    size = parse_bytes(limit) if isinstance(limit, str) else limit
    for path in cold:
        drop_from_page_cache(path)
    groups: list[Group | Throttle] = [group := Group()]
    try:
        group.limit(size, swap)
        if read_rate is not None:
            groups.append(Throttle(cold[0], read_rate))
        entrances = [os.open(each.path / "cgroup.procs", os.O_WRONLY) for each in groups]
        sink = subprocess.PIPE if capture else None
        start = time.monotonic()
        try:
            # "0" moves the writer: the child is inside before exec, so its very first page is charged
            child = subprocess.Popen(
                list(command),
                preexec_fn=lambda: [os.write(entrance, b"0") for entrance in entrances],
                stdout=sink,
                stderr=sink,
                cwd=cwd,
                env=env,
                text=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = getattr(error, "strerror", None) or "it could not enter its memory cgroup"
            raise DarkfuseError(f"{command[0]}: cannot be run: {reason}") from None
        finally:
            for entrance in entrances:
                os.close(entrance)
        swapped, timed_out, out, err = 0, False, "", ""
        while True:
            swapped = max(swapped, group.swap_now())
            if watch:
                watch(time.monotonic() - start, group)
            try:
                if capture:
                    out, err = child.communicate(timeout=_POLL_SECONDS)
                else:
                    child.wait(_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if timeout is not None and time.monotonic() - start > timeout and not timed_out:
                    timed_out = True
                    group.kill()
        wall = time.monotonic() - start
        stat, mark = group.stat(), group.swap_peak()
        return Usage(
            status=child.returncode if child.returncode >= 0 else 128 - child.returncode,
            oom_kills=group.oom_kills(),
            timed_out=timed_out,
            wall_seconds=wall,
            peak_bytes=group.peak(),
            swap_peak_bytes=swapped if mark is None else mark,
            minor_faults=stat["pgfault"] - stat["pgmajfault"],
            major_faults=stat["pgmajfault"],
            limit_bytes=size,
            swap_allowed=swap,
            machine_swap_bytes=machine_swap(),
            stdout=out,
            stderr=err,
        )
    finally:
        for each in groups:
            each.close()


def describe(usage: Usage) -> str:
    """The one line printed about a finished command."""
    if usage.timed_out:
        end = "ended at its time limit"
    elif usage.oom_kills:
        end = f"killed for lack of memory (status {usage.status})"
    else:
        end = f"exit status {usage.status}"
    if not usage.swap_allowed:
        swap = "swap forbidden"
    elif not usage.machine_swap_bytes:
        swap = "swap allowed, but this machine has none"
    else:
        swap = f"swap up to {format_bytes(usage.swap_peak_bytes)}"
    return (
        f"{end}; peak {format_bytes(usage.peak_bytes)} of {format_bytes(usage.limit_bytes)}, {swap}, "
        f"faults {usage.minor_faults} minor {usage.major_faults} major, {usage.wall_seconds:.2f} s"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], usage="%(prog)s [options] LIMIT -- COMMAND ..."
    )
    parser.add_argument("limit", metavar="LIMIT", help="memory of the group: 48M, 0.5G or bytes")
    parser.add_argument("command", metavar="COMMAND", nargs="+", help="what to run, after --")
    parser.add_argument("--swap", action="store_true", help="let the group swap")
    parser.add_argument(
        "--cold", metavar="FILE", action="append", default=[], help="drop FILE from the page cache first"
    )
    parser.add_argument("--timeout", metavar="SECONDS", type=float, help="kill the command after this long")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--quiet", action="store_true", help="print nothing of our own")
    words = list(sys.argv[1:] if argv is None else argv)
    # everything after -- belongs to the command, options and all; ours may stand on either side of LIMIT
    cut = words.index("--") if "--" in words else len(words)
    options = parser.parse_args([*words[:cut], *(["--", *words[cut + 1 :]] if words[cut + 1 :] else [])])

    def leave(number: int, frame: Any) -> NoReturn:
        raise SystemExit(128 + number)  # through the clean-up of run()

    signal.signal(signal.SIGTERM, leave)
    try:
        usage = run(
            options.command, options.limit, swap=options.swap, cold=options.cold, timeout=options.timeout
        )
        if options.json:
            _write_json(options.json, usage)
    except DarkfuseError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if not options.quiet:
        print(describe(usage), file=sys.stderr)
    return usage.status


def _write_json(path: str, usage: Usage) -> None:
    facts = {key: value for key, value in asdict(usage).items() if key not in ("stdout", "stderr")}
    write_whole(path, json.dumps(facts, indent=2) + "\n", "the measurement")


if __name__ == "__main__":
    sys.exit(main())
