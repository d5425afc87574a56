"""A device profile: the few rates from which the cost model works out how long a plan takes.

``darkfuse calibrate`` measures one for the machine it runs on; a handful of built-in ones (from public
figures, marked as estimates) answer for boards that are not at hand.
"""
from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping

from darkfuse.errors import DarkfuseError, brief
from darkfuse.host.files import failed, write_whole
from darkfuse.host.reading import parse_json, read_text
from darkfuse.host.record import dataclass
from darkfuse.plan.price.boards import BOARDS, Board, likeness, parts_of


@dataclass(frozen=True)
class Rates:
    """What a team of so many threads reaches, all together.

    direct3, direct1, first, general : GFLOP/s (2 per multiply-add) of the direct kernels on whole maps
    gemm : GFLOP/s of Winograd's 36 matrix products, counted in their own multiply-adds
    wino_in, wino_out : 4x4 tiles x channels a nanosecond through the input / output transform
    wino_filter : 3x3 filter planes (input x output channels) a nanosecond through the filter transform
    pack : GB/s from Darknet's order into packed panels
    weights : GB/s at which packed weights too large for the cache are walked again for each tile
    memory : GB/s of map bytes, read and written, through pooling, upsampling, copies
    far : GB/s of map bytes that come from or go to memory beyond the caches, on top of any operation
    input : pixels of the network's input a nanosecond, scaled from the photo
    op_us : microseconds the team loses when it meets: after each operation on each tile, twice in Winograd
    read_us : microseconds each read of weights takes beside its bytes
    """

    direct3: float
    direct1: float
    first: float
    general: float
    gemm: float
    wino_in: float
    wino_out: float
    wino_filter: float
    pack: float
    weights: float
    memory: float
    far: float
    input: float
    op_us: float
    read_us: float

    def scaled(self, factor: float) -> Rates:
        """The same team `factor` times as fast."""
        return Rates(**{k: v if k.endswith("_us") else v * factor for k, v in vars(self).items()})


@dataclass(frozen=True)
class Device:
    """Rates per number of threads, and what does not depend on it.

    read : GB/s from storage
    cache_bytes : of the cache a core has to itself
    near_bytes : maps up to this size are in some cache when they are read
    pixels : of one row that the direct kernels hold in registers, at most; tiles in Winograd's products
    """

    name: str
    read: float
    cache_bytes: int
    near_bytes: int
    rates: dict[int, Rates]
    estimate: bool = False
    pixels: int = 14

    def at(self, threads: int) -> Rates:
        """Rates for a team of `threads`, scaled from the nearest measured one where it was not measured."""
        if threads in self.rates:
            return self.rates[threads]
        nearest = min(self.rates, key=lambda n: abs(n - threads))
        return self.rates[nearest].scaled(threads / nearest)

    def to_json(self) -> str:
        values = {**vars(self), "rates": {n: vars(rates) for n, rates in self.rates.items()}}
        return json.dumps(values, indent=1, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> Device:
        """Raises ValueError, KeyError or TypeError on text that is not a profile."""
        raw = parse_json(text)
        raw["rates"] = {int(n): Rates(**values) for n, values in raw["rates"].items()}
        device = Device(**raw)
        rates = [v for r in device.rates.values() for v in vars(r).values()]
        numbers = [device.read, device.pixels, *rates]
        if not device.rates or not all(isinstance(v, (int, float)) and 0 < v < math.inf for v in numbers):
            raise ValueError("a rate is missing or not positive")
        return device


def estimated_rates(peak: float, memory: float, read_us: float) -> Rates:
    """What one core should reach, from its float32 peak (GFLOP/s) and GB/s of memory.

    The shares of peak are what our kernels were measured to reach on cores we have.
    """
    return Rates(
        direct3=0.75 * peak, direct1=0.65 * peak, first=0.55 * peak, general=0.1 * peak, gemm=0.7 * peak,
        wino_in=0.004 * peak, wino_out=0.005 * peak, wino_filter=0.006 * peak, pack=0.5 * memory,
        weights=0.8 * memory, memory=memory, far=2 * memory, input=0.001 * peak, op_us=8.0, read_us=read_us,
    )


def _estimate(board: Board, clock: float = 1.0) -> Device:
    """A profile of a board from models and public figures, its clock `clock` times as fast."""
    core, ghz = board.core, board.mhz * clock / 1000.0
    peak = core.flops * ghz
    one = dataclasses.replace(
        estimated_rates(peak, board.memory, board.read_us),
        direct3=core.window * peak, direct1=core.pixel * peak, first=core.first * peak,
        gemm=core.products * peak, wino_in=4 * ghz / core.inward, wino_out=4 * ghz / core.outward,
        wino_filter=4 * ghz / core.filters)
    # Bandwidth does not grow with the cores of these boards; arithmetic nearly does.
    rates = {1: one}
    for n in range(2, board.cores + 1):
        fast = one.scaled(0.92 * n)
        rates[n] = dataclasses.replace(fast, pack=one.pack * 1.3, weights=one.weights * 1.3,
                                       memory=board.memory * 1.2, far=board.memory * 2.4)
    return Device(board.name, board.read, board.own_kb * 1024, board.near_kb * 1024, rates, estimate=True,
                  pixels=core.pixels)


class _Builtin(Mapping[str, Device]):
    """Profiles of boards by name, each estimated when it is asked for: most starts need one of them."""

    def __init__(self) -> None:
        self._boards = {board.name: board for board in BOARDS}
        self._known: dict[str, Device] = {}

    def __getitem__(self, name: str) -> Device:
        if name not in self._known:
            self._known[name] = _estimate(self._boards[name])
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._boards

    def __iter__(self) -> Iterator[str]:
        return iter(self._boards)

    def __len__(self) -> int:
        return len(self._boards)


BUILTIN = _Builtin()


def cache_folder() -> str:
    """Where measured profiles are kept: $XDG_CACHE_HOME/darkfuse or ~/.cache/darkfuse."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "darkfuse")


def save_device(device: Device, path: str | None = None) -> str:
    """Write a profile to `path`, or into the cache folder under its name; returns where.

    Raises
    ------
    DarkfuseError
        It cannot be written there.
    """
    if path is None:
        path = os.path.join(cache_folder(), f"{device.name}.json")
        try:
            os.makedirs(cache_folder(), exist_ok=True)
        except OSError as error:
            raise failed(path, "the device profile", error) from None
    write_whole(path, device.to_json(), "the device profile")
    return path


def _text(path: str) -> str:
    """A small file of the kernel's, nothing where there is none."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def measured_devices() -> list[Device]:
    """Profiles in the cache folder, by name, as they can be named; what is none is passed over."""
    found = []
    try:
        names = sorted(os.listdir(cache_folder()))
    except OSError:
        return []
    for name in names:
        if name.endswith(".json"):
            try:
                found.append(dataclasses.replace(load_device(name[:-5]), name=name[:-5]))
            except DarkfuseError:  # what else is kept there
                continue
    return found


def _this_board() -> Device:
    """The estimate for the board most like this machine, at this machine's clock."""
    clocks = [_text(f"/sys/devices/system/cpu/cpu{n}/cpufreq/cpuinfo_max_freq").strip()
              for n in range(os.cpu_count() or 1)]
    mhz = max((int(clock) // 1000 for clock in clocks if clock.isdigit()), default=0)
    name, clock = likeness(os.uname().machine, parts_of(_text("/proc/cpuinfo")), mhz,
                           _text("/proc/device-tree/model"))
    if clock is None or abs(clock - 1) < 0.05:
        return BUILTIN[name]
    return _estimate(next(board for board in BOARDS if board.name == name), clock)


def load_device(name: str | None = None, read_rate: int | None = None) -> Device:
    """A profile by name or path; without one this machine's measured profile, else the one most like it.

    read_rate : bytes a second of the storage weights are read from, where the profile's own does not count

    Raises
    ------
    DarkfuseError
        No such profile, or the file is not one.
    """
    if read_rate:
        return dataclasses.replace(load_device(name), read=read_rate * 1e-9)
    if name in BUILTIN:
        return BUILTIN[str(name)]
    if name is None:
        path = os.path.join(cache_folder(), "this-machine.json")
        if not os.path.exists(path):
            return _this_board()
    elif os.path.exists(name):
        path = name
    else:
        path = os.path.join(cache_folder(), f"{name}.json")
    try:
        return Device.from_json(read_text(path))
    except FileNotFoundError:
        from darkfuse.host.suggest import did_you_mean

        known = ", ".join(sorted(BUILTIN))
        raise DarkfuseError(f"no device profile '{name}': built in are {known}; measure this machine with "
                            f"'darkfuse calibrate'{did_you_mean(str(name), BUILTIN)}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DarkfuseError(f"{path} is not a device profile ({brief(error)}); "
                            "write a new one with 'darkfuse calibrate'") from None
