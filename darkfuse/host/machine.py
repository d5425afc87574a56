"""What this machine is and what is wrong with it, for `darkfuse doctor`.

A fact has a level: 'ok', 'note' (worth knowing) or 'warn' (it will cost time, memory or a run). Whatever the
system does not tell is left out; nothing is guessed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import resource
import sys
from typing import Any, NamedTuple

from darkfuse.host import process
from darkfuse.host.extras import EXTRAS
from darkfuse.host.units import format_bytes

MB = 1 << 20
# Bits of the Raspberry Pi firmware's `get_throttled`: now, and since it started.
_THROTTLED = {
    0: "under-voltage now", 1: "its clock is capped now", 2: "throttled now", 3: "soft temperature limit now",
    16: "there was under-voltage", 17: "its clock was capped", 18: "it was throttled",
    19: "the soft temperature limit was reached",
}


class Fact(NamedTuple):
    """One line of `darkfuse doctor`."""

    topic: str
    text: str
    level: str = "ok"


def facts(root: str = "/") -> list[Fact]:
    """Everything worth saying about the machine, in the order a person reads it.

    `root` is where /proc and /sys are looked for.
    """
    found = [*_processor(root), *_memory(root), *_heat(root), *_software()]
    return [fact for fact in found if fact.text]


def _processor(root: str) -> list[Fact]:
    machine = platform.machine()
    name = _read(root, "sys/firmware/devicetree/base/model") or _cpuinfo(root, "model name") \
        or _cpuinfo(root, "Hardware")
    cores = process.cpu_count()
    facts = [Fact("machine", f"{name or 'unknown'}, {machine}, {cores} cores")]
    if machine == "armv6l":
        facts.append(Fact("machine", "ARMv6 has no NEON: darkfuse does not support it", "warn"))
    page = resource.getpagesize()
    if page != 4096:
        facts.append(Fact("pages", f"of {page >> 10} KB: small buffers take a whole one each", "note"))
    return facts


def _memory(root: str) -> list[Fact]:
    total, free = _meminfo(root, "MemTotal:"), process.free_bytes()
    found = []
    if total:
        text = f"{format_bytes(total)} in all"
        text += f", {format_bytes(free)} free for this process" if free else ""
        found.append(Fact("memory", text))
    limit = process.limit_bytes()
    if limit:
        found.append(Fact("memory", f"a memory cgroup limits this process to {format_bytes(limit)}", "note"))
    if process.memory_cgroup_is_off(root):
        found.append(Fact("cgroups", "the kernel's memory cgroup is off, so that MemoryMax= and limits of "
                          "containers do nothing; add cgroup_enable=memory cgroup_memory=1 to cmdline.txt",
                          "warn"))
    swaps = [line.split() for line in (_read(root, "proc/swaps") or "").splitlines()[1:]]
    for swap in swaps:
        zram = "zram" in swap[0]
        text = f"{swap[0]}, {format_bytes(int(swap[2]) * 1024)}"
        found.append(Fact("swap", text + (": compressed memory, it takes from what is free" if zram else
                                          ": far slower than streaming weights; name a --mem that fits"),
                          "note"))
    if free:
        most = format_bytes(max(MB, free * 9 // 10 // MB * MB))
        found.append(Fact("--mem", f"at most {most} makes sense here now; left out, darkfuse takes half of "
                          "what is free"))
    return found


def _heat(root: str) -> list[Fact]:
    found = []
    clock, most = (_number(root, f"sys/devices/system/cpu/cpu0/cpufreq/{name}")
                   for name in ("scaling_cur_freq", "cpuinfo_max_freq"))
    if clock and most:
        slow = clock < 0.7 * most
        found.append(Fact("clock", f"{clock // 1000} of {most // 1000} MHz"
                          + (" (idle, or throttled)" if slow else ""), "note" if slow else "ok"))
    warmest = temperature(root)
    if warmest is not None:
        hot = warmest >= 75
        advice = ": boards throttle from 80" if hot else ""
        found.append(Fact("temperature", f"{warmest:.0f} degrees{advice}", "warn" if hot else "ok"))
    bits = throttled(root)
    if bits:
        text = ", ".join(words for bit, words in _THROTTLED.items() if bits >> bit & 1)
        found.append(Fact("power", f"the firmware says: {text}", "warn" if bits & 0xF else "note"))
    return found


def temperature(root: str = "/") -> float | None:
    """The warmest thermal zone in degrees Celsius, None where there is none."""
    zones = os.path.join(root, "sys/class/thermal")
    values = []
    with contextlib.suppress(OSError):
        for zone in os.listdir(zones):
            if zone.startswith("thermal_zone"):
                value = _number(root, f"sys/class/thermal/{zone}/temp")
                if value is not None and 0 < value < 200_000:
                    values.append(value / 1000)
    return max(values, default=None)


def throttled(root: str = "/") -> int | None:
    """Bits of a Raspberry Pi's `get_throttled`, None on other machines."""
    text = _read(root, "sys/devices/platform/soc/soc:firmware/get_throttled")
    with contextlib.suppress(ValueError, TypeError):
        return int(text or "", 16)
    return None


def _software() -> list[Fact]:
    found = [Fact("python", f"{platform.python_version()}, {sys.executable}")]
    libraries = [("Pillow", "PIL", "pictures other than JPEG and PNG, and drawing")]
    libraries += [(name, name, f"darkfuse[{extra}]") for name, extra in EXTRAS.items()]
    for title, module, use in libraries:
        there = _there(module)
        found.append(Fact("library", f"{title} {'is there' if there else 'is not installed'} ({use})",
                          "ok" if there else "note"))
    return found


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _read(root: str, path: str) -> str | None:
    try:
        with open(os.path.join(root, path), errors="replace") as file:
            return file.read(1 << 16).strip("\0 \n")
    except OSError:
        return None


def _number(root: str, path: str) -> int | None:
    text = _read(root, path)
    return int(text) if text and text.lstrip("-").isdigit() else None


def _meminfo(root: str, name: str) -> int | None:
    for line in (_read(root, "proc/meminfo") or "").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return None


def _cpuinfo(root: str, name: str) -> str | None:
    for line in (_read(root, "proc/cpuinfo") or "").splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return None


def as_dict(found: list[Fact]) -> list[dict[str, Any]]:
    """Facts for `--json`."""
    return [fact._asdict() for fact in found]
