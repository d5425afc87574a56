"""What this process takes of memory, and what it may take: /proc and the memory cgroups, v1 and v2.

Nothing is cached: a limit can change while a process runs. Where a number is not to be had (not Linux, /proc
not mounted) the answer is None, never a guess.
"""

from __future__ import annotations

import os

from darkfuse.errors import BudgetError
from darkfuse.host.units import format_bytes

_NO_LIMIT = 1 << 60  # cgroup v1 writes "no limit" as the largest page-aligned number


def rss_bytes() -> int | None:
    """Resident memory of this process now (VmRSS)."""
    return _status("VmRSS:")


def peak_rss_bytes() -> int | None:
    """Most resident memory this process has had (VmHWM): what a memory limit has to hold."""
    return _status("VmHWM:")


def file_rss_bytes() -> int | None:
    """What of it are pages of files, programs' code most of all (RssFile)."""
    return _status("RssFile:")


def anonymous_bytes() -> int | None:
    """Resident memory that no file has, heaps and stacks (RssAnon): what can leave by swapping only."""
    return _status("RssAnon:")


def may_swap() -> bool:
    """Whether there is swap that this process's memory cgroups let it have."""
    for folder, limit, *_ in _folders():
        if limit == "memory.max":
            allowed = _read(f"{folder}/memory.swap.max") != "0"
        else:
            most, both = (int(_read(f"{folder}/memory.{name}limit_in_bytes") or _NO_LIMIT)
                          for name in ("", "memsw."))
            allowed = _read(f"{folder}/memory.swappiness") != "0" and (both > most or most >= _NO_LIMIT)
        if not allowed:
            return False
    return bool(_field("/proc/meminfo", "SwapFree:"))


def free_bytes() -> int | None:
    """Memory this process could take without swapping: the machine's, or its cgroups' if that is less."""
    machine = _field("/proc/meminfo", "MemAvailable:")
    room = [] if machine is None else [machine]
    for limit, used in _cgroups():
        room.append(max(0, limit - used))
    return min(room) if room else None


def limit_bytes() -> int | None:
    """The smallest memory limit of the cgroups this process is in, None when there is none."""
    return min((limit for limit, _ in _cgroups()), default=None)


class Limits:
    """The memory limits of this process's cgroups, as they are now and as they were when this was made."""

    def __init__(self) -> None:
        self._files = [f"{folder}/{limit}" for folder, limit, *_ in _folders()]
        self._first = self._least()

    def lowered(self) -> int | None:
        """The smallest limit in bytes where somebody has made it smaller since, else None."""
        now = self._least()
        return now if now < self._first else None

    def check(self, takes: int | None) -> None:
        """Raise `BudgetError` where somebody has lowered the limit below the bytes this process takes (None:
        what it has now): the kernel would kill it without a word."""
        limit = self.lowered()  # frame after frame
        takes = takes or rss_bytes() or 0 if limit is not None else 0
        if limit is not None and limit < takes:
            raise BudgetError(f"the memory limit of this process was lowered to {format_bytes(limit)} while "
                              f"it ran, below the {format_bytes(takes)} it takes; start it again")

    def _least(self) -> int:
        texts = [_read(path) or "" for path in self._files]
        return min((int(text) for text in texts if text.strip().isdigit()), default=_NO_LIMIT)


def limit_growth(bytes: int) -> None:
    """Have this process get no more memory than so many bytes beyond what it has now; asking for more fails.

    RLIMIT_DATA counts private writable memory, touched or not (Linux 4.7). Elsewhere nothing happens.
    """
    import resource

    here = _status("VmData:")
    if here is not None:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = here + max(0, bytes)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def memory_cgroup_is_off(root: str = "/") -> bool:
    """Whether the kernel was started without its memory cgroup, so that no limit of a container holds.

    Raspberry Pi OS does; `cgroup_enable=memory` in cmdline.txt changes it.
    """
    controllers = (_read(os.path.join(root, "sys/fs/cgroup/cgroup.controllers")) or "").split()
    lines = (_read(os.path.join(root, "proc/cgroups")) or "").splitlines()
    enabled = [line.split()[3] for line in lines if line.startswith("memory\t")]
    return enabled == ["0"] or bool(controllers and "memory" not in controllers and not enabled)


def cpu_count(root: str = "/") -> int:
    """Cores that a team is made of where nobody asks for another number of threads.

    Physical ones this process may run on: a second thread on one core only shares its vector units. Of
    unequal cores those at least two thirds as fast as the fastest (`cpu_capacity`): where the little ones
    compute too, the big ones wait for them at the end of every layer. `root` is where /sys is looked for.
    """
    try:
        allowed = sorted(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count() or 1
    cores: dict[str, int] = {}
    for cpu in allowed:
        folder = os.path.join(root, f"sys/devices/system/cpu/cpu{cpu}")
        siblings = _read(os.path.join(folder, "topology/thread_siblings_list")) or str(cpu)
        capacity = _read(os.path.join(folder, "cpu_capacity")) or ""
        cores[siblings] = int(capacity) if capacity.isdigit() else 0
    fastest = max(cores.values(), default=0)
    return max(1, sum(3 * capacity >= 2 * fastest for capacity in cores.values()))


def cache_bytes() -> tuple[int, int]:
    """Bytes of the second level of cache and of the last one; usual sizes where the system does not tell."""
    sizes = []
    for level in (2, 3):
        text = _read(f"/sys/devices/system/cpu/cpu0/cache/index{level}/size") or ""
        if text[:-1].isdigit() and text[-1] == "K":
            sizes.append(int(text[:-1]) << 10)
    return (sizes[0], sizes[-1]) if sizes else (512 << 10, 512 << 10)


def _read(path: str) -> str | None:
    """All of a file of the kernel's. A file object would take thrice as long, which still cameras notice."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts = [os.read(file, 1 << 14)]
        while parts[-1]:
            parts.append(os.read(file, 1 << 14))
        return b"".join(parts).decode(errors="surrogateescape").strip()
    except OSError:
        return None
    finally:
        os.close(file)


def _field(path: str, name: str) -> int | None:
    """A `Name:  123 kB` line, in bytes."""
    _, found, rest = ("\n" + (_read(path) or "")).partition("\n" + name)
    words = rest.split(None, 1)
    return int(words[0]) * 1024 if found and words and words[0].isdigit() else None


def _status(name: str) -> int | None:
    return _field("/proc/self/status", name)


def _cgroups() -> list[tuple[int, int]]:
    """(limit, usage) of every memory cgroup above this process that has a limit, in bytes.

    Version 2's `memory.high`, beyond which the kernel slows a group down, counts as a limit.
    Page cache nobody has touched lately counts as free: the kernel drops it before it refuses memory.
    """
    found = []
    for folder, limit_name, usage_name, cache_name in _folders():
        limits = [int(text) for text in (_read(f"{folder}/{name}") for name in (limit_name, "memory.high"))
                  if text is not None and text.isdigit() and int(text) < _NO_LIMIT]
        if not limits:
            continue  # "max", or the root group
        usage = _read(f"{folder}/{usage_name}") or "0"
        stat = _read(f"{folder}/memory.stat") or ""
        cache = 0
        for line in stat.splitlines():
            name, _, value = line.partition(" ")
            if name == cache_name:
                cache = int(value)
        found.append((min(limits), max(0, int(usage) - cache)))
    return found


def cgroup2_folders() -> list[str]:
    """Folders of the version 2 memory cgroups this process is in, innermost first."""
    return [folder for folder, limit, _, _ in _folders() if limit == "memory.max"]


def _folders() -> list[tuple[str, str, str, str]]:
    """Folders of the memory cgroups this process is in, innermost first, with their files' names."""
    mounts = _mounts()
    folders = []
    for line in (_read("/proc/self/cgroup") or "").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            kind, names = "cgroup2", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            kind, names = "cgroup", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        for root, mount in mounts.get(kind, []):
            # in a container the mount may show only our own part of the tree
            inside = path[len(root):] if root != "/" and (path + "/").startswith(root + "/") else path
            parts = [part for part in inside.split("/") if part not in ("", "..")]
            for depth in range(len(parts), -1, -1):
                folder = "/".join([mount, *parts[:depth]])
                if os.path.exists(f"{folder}/{names[0]}"):
                    folders.append((folder, *names))
    return folders


def _mounts() -> dict[str, list[tuple[str, str]]]:
    """Mounts of cgroup2 and of cgroup v1's memory controller: kind to (root within the tree, folder)."""
    mounts: dict[str, list[tuple[str, str]]] = {}
    for line in (_read("/proc/self/mountinfo") or "").splitlines():
        front, _, back = line.partition(" - ")
        fields, kind = front.split(), back.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2" or (kind[0] == "cgroup" and "memory" in kind[2].split(",")):
            mounts.setdefault(kind[0], []).append((fields[3], fields[4]))
    return mounts
