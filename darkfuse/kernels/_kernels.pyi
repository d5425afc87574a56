"""The kernel tables, seen from Python: which instruction sets this CPU runs, and checked calls of single
kernels for tests and benchmarks. Buffers are flat, contiguous float32."""

from collections.abc import Sequence
from typing import Any

ACTIVATIONS: dict[str, int]
KERNELS: dict[str, int]
DIRECT: int
FIRST: int
GENERAL: int
WINOGRAD: int

def available() -> list[str]: ...
def active() -> str: ...

class Conv:
    def __init__(
        self, in_c: int, out_c: int, size: int, conv_h: int, conv_w: int, *, stride: int = 1, pad: int = 0,
        dilation: int = 1, groups: int = 1, act: str = "linear", pool: int = 0,
    ) -> None: ...
    def packed_floats(self, kernel: int, out_channels: int) -> int: ...
    def wino_u_floats(self, tiles: int) -> int: ...
    def wino_scratch_floats(self, tiles: int) -> int: ...

class View:
    def __init__(
        self, data: Any, *, offset: int, row_stride: int, pixel: int, cols: int, x0: int, slots: int,
        blocks: int, channels: int, height: int, width: int,
    ) -> None: ...

Strip = tuple[int, int, int, int, int, int]

class Kernels:
    def __init__(self, isa: str | None = None) -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def vector(self) -> int: ...
    def fma_burst(self, rounds: int) -> int: ...
    def pack(
        self, conv: Conv, kernel: int, raw: Any, scale: Any, oc0: int, n: int, base_oc: int, packed: Any
    ) -> None: ...
    def conv(
        self, kernel: int, conv: Conv, src: View, out: View, packed: Any, bias: Any, panel: int,
        y0: int, y1: int, x0: int, x1: int,
    ) -> None: ...
    def wino_input(self, conv: Conv, src: View, strip: Strip, b0: int, b1: int, u: Any,
                   cut: int = 0) -> None: ...
    def wino_panel(
        self, conv: Conv, out: View, strip: Strip, packed: Any, bias: Any, panel: int, u: Any,
        t0: int, t1: int, scratch: Any, more: Sequence[Any] = (),
    ) -> None: ...
    def wino_panel_raw(
        self, conv: Conv, out: View, strip: Strip, raw: Any, scale: Any, bias: Any, panel: int, u: Any,
        t0: int, t1: int, scratch: Any,
    ) -> None: ...
    def maxpool(
        self, src: View, out: View, size: int, stride: int, pad_before: int,
        y0: int, y1: int, x0: int, x1: int, b0: int, b1: int,
    ) -> None: ...
    def upsample(
        self, src: View, out: View, stride: int, scale: float,
        y0: int, y1: int, x0: int, x1: int, b0: int, b1: int,
    ) -> None: ...
    def shortcut(
        self, a: View, b: View, out: View, act: str, y0: int, y1: int, x0: int, x1: int, b0: int, b1: int
    ) -> None: ...
    def copy(
        self, src: View, out: View, y0: int, y1: int, x0: int, x1: int, b0: int, b1: int
    ) -> None: ...
