"""How short memory is: what the kernel says of waiting for it (PSI), and what is left of limits.

Stalls are those of this process's own cgroup where version 2 keeps them, else the machine's.
"""

from __future__ import annotations

from darkfuse.host import process

_MACHINE = "/proc/pressure/memory"


def stalled(paths: tuple[str, ...] | None = None) -> float | None:
    """Percent of the last ten seconds that somebody waited for memory; None where nobody tells."""
    for path in own_files() if paths is None else paths:
        try:
            with open(path) as file:
                for line in file:
                    if line.startswith("some "):
                        return float(line.split("avg10=")[1].split()[0])
        except (OSError, ValueError, IndexError):
            continue  # off (psi=0), or not there
    return None


def own_files() -> tuple[str, ...]:
    """Where stalls are told, best first."""
    folders = process.cgroup2_folders()
    return (*(f"{folder}/memory.pressure" for folder in folders[:1]), _MACHINE)


def room_bytes() -> int | None:
    """What this process may take in all, as things are: what it has, and what is free beside it."""
    here, free = process.rss_bytes(), process.free_bytes()
    return None if here is None or free is None else here + free
