"""Winograd F(4,3) on every instruction set of this machine, against float64."""

from __future__ import annotations

import numpy as np
import pytest

from darkfuse.kernels import _kernels, reference
from darkfuse.kernels.reference import Map, aligned, padded, panels

SIDES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 19, 26, 38)
CHANNELS = (3, 5, 16, 17, 31, 32, 33, 64, 65, 127)
RMS, LARGEST = 2e-6, 2e-5  # error against the outputs' own RMS


class Layer:
    """A 3x3 convolution with random data, and its output in float64."""

    def __init__(self, isa: str, in_c: int, out_c: int, height: int, width: int, *, pad: int = 1,
                 act: str = "leaky", pool: int = 0, seed: int = 0, after: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.k, self.after = _kernels.Kernels(isa), after
        self.h, self.w = height + 2 * pad - 2, width + 2 * pad - 2
        self.pad, self.cell = pad, 2 if pool else 1
        self.in_c, self.out_c = in_c, out_c
        self.x = rng.standard_normal((in_c, height, width), np.float32)
        filters = rng.standard_normal((out_c, in_c, 3, 3), np.float32) / np.float32(3 * np.sqrt(in_c))
        bias = rng.standard_normal(out_c, np.float32)
        self.conv = _kernels.Conv(in_c, out_c, 3, self.h, self.w, pad=pad, act=act, pool=pool)
        self.packed = panels(self.k, self.conv, _kernels.WINOGRAD, filters, np.ones(out_c, np.float32))
        self.bias = padded(bias)
        self.expected = reference.conv(self.x, filters, bias, pad=pad, act=act, pool=pool)

    def source(self, slots: int = 0) -> Map:
        """An input of NaNs, with the margin the engine stores."""
        src = Map(self.in_c, *self.x.shape[1:], margin=self.pad, slots=slots)
        src.array[:, src.before:src.before + src.blocks, :, :][:, :, self.pad:src.cols - self.pad] = np.nan
        return src

    def target(self) -> Map:
        return Map(self.out_c, *self.expected.shape[1:], margin=1, before=1, after=self.after)

    def run(self, src: Map, out: Map, region: tuple[int, int, int, int], tiles_cut: int | None = None,
            blocks_cut: int = 0) -> None:
        """One strip, its channel blocks and its tiles each in two calls where a cut is given."""
        y0, y1, x0, x1 = region
        strip = (*region, (y1 - y0 + 3) // 4, (x1 - x0 + 3) // 4)
        tiles = strip[4] * strip[5]
        u = aligned(self.conv.wino_u_floats(tiles))
        blocks = -(-self.in_c // 16)
        for b0, b1 in ((0, blocks_cut), (blocks_cut, blocks)):
            self.k.wino_input(self.conv, src.view, strip, b0, b1, u, min(tiles_cut or 0, tiles))
        cut = tiles if tiles_cut is None else tiles_cut
        for i, panel in enumerate(self.packed):
            for t0, t1 in ((0, cut), (cut, tiles)):
                if t0 < t1:
                    scratch = aligned(self.conv.wino_scratch_floats(t1 - t0))
                    self.k.wino_panel(self.conv, out.view, strip, panel, self.bias, i, u, t0, t1, scratch)

    def check(self, out: Map) -> None:
        assert out.intact()
        got = out.get()
        assert not got[self.out_c:].any()
        scale = np.sqrt(np.mean(self.expected**2))
        error = (got[:self.out_c] - self.expected) / scale
        assert np.abs(error).max() <= LARGEST
        assert np.sqrt(np.mean(error**2)) <= RMS


@pytest.fixture(params=_kernels.available())
def isa(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("seed", range(60))
def test_strips_and_windows_of_awkward_shapes(isa: str, seed: int) -> None:
    """Line buffers that hold only the strip's rows, column windows, tiles and blocks in two calls."""
    rng = np.random.default_rng(seed)
    pad, pool = int(rng.integers(0, 2)), int(rng.choice([0, 2]))
    height, width = (int(max(rng.choice(SIDES), 3 - 2 * pad)) for _ in range(2))
    in_c, out_c = (int(rng.choice(CHANNELS)) for _ in range(2))
    act = str(rng.choice(["leaky", "linear", "relu", "mish", "logistic", "swish"]))
    layer = Layer(isa, in_c, out_c, height, width, pad=pad, act=act, pool=pool, seed=seed, after=1)
    rows = int(rng.integers(1, 7)) * 2
    src, out = layer.source(min(height, rows + 2)), layer.target()
    middle = int(rng.integers(0, layer.w // 2 + 1)) * 2
    stored = 0
    for y0 in range(0, layer.h, rows):
        y1 = min(y0 + rows, layer.h)
        need = min(height, y1 - pad + 2)
        src.put(layer.x, stored, need)
        stored = need
        for x0, x1 in ((0, middle), (middle, layer.w)):
            if x0 < x1:
                tiles = ((y1 - y0 + 3) // 4) * ((x1 - x0 + 3) // 4)
                layer.run(src, out, (y0, y1, x0, x1), int(rng.integers(0, tiles + 1)),
                          int(rng.integers(0, -(-in_c // 16) + 1)))
    layer.check(out)


@pytest.mark.parametrize("in_c", [512, 1280])
def test_error_over_many_channels(isa: str, in_c: int) -> None:
    layer = Layer(isa, in_c, 33, 13, 13, act="linear")
    src, out = layer.source().put(layer.x), layer.target()
    layer.run(src, out, (0, 13, 0, 13))
    layer.check(out)


def test_splitting_the_tiles_leaves_every_bit(isa: str) -> None:
    layer = Layer(isa, 80, 48, 19, 22)
    src, whole = layer.source().put(layer.x), layer.target()
    layer.run(src, whole, (0, 19, 0, 22))
    tiles = 5 * 6
    for cut in range(tiles):
        parts = layer.target()
        layer.run(src, parts, (0, 19, 0, 22), cut, cut % 6)
        assert np.array_equal(parts.get().view(np.int32), whole.get().view(np.int32))


@pytest.mark.parametrize("in_c, out_c", [(20, 64), (80, 96), (144, 128)])
def test_panels_together_leave_every_bit(isa: str, in_c: int, out_c: int) -> None:
    """Several panels that read the transformed input once, some channels of each in turn."""
    layer = Layer(isa, in_c, out_c, 13, 10)
    strip, tiles = (0, 13, 0, 10, 4, 3), 12
    src, u = layer.source().put(layer.x), aligned(layer.conv.wino_u_floats(tiles))
    layer.k.wino_input(layer.conv, src.view, strip, 0, -(-in_c // 16), u)
    one, together = layer.target(), layer.target()
    room = layer.conv.wino_scratch_floats(tiles)
    for i, panel in enumerate(layer.packed):
        layer.k.wino_panel(layer.conv, one.view, strip, panel, layer.bias, i, u, 0, tiles, aligned(room))
    for t0, t1 in ((0, 5), (5, tiles)):
        layer.k.wino_panel(layer.conv, together.view, strip, layer.packed[0], layer.bias, 0, u, t0, t1,
                           aligned(4 * room), layer.packed[1:])
    layer.check(together)
    assert np.array_equal(together.get().view(np.int32), one.get().view(np.int32))
    with pytest.raises(ValueError, match="too small"):
        layer.k.wino_panel(layer.conv, one.view, strip, layer.packed[0], layer.bias, 0, u, 0, tiles,
                           aligned(36 * 32 * (2 * tiles + 8)), layer.packed[1:])


@pytest.mark.parametrize("in_c, out_c", [(3, 40), (16, 32), (37, 33), (64, 31), (80, 64), (144, 96)])
def test_filters_as_the_file_has_them_give_the_bits_of_packed_ones(isa: str, in_c: int, out_c: int) -> None:
    layer = Layer(isa, in_c, out_c, 11, 9)
    rng = np.random.default_rng(1)
    filters = rng.standard_normal((out_c, in_c, 3, 3), np.float32)
    scale = rng.standard_normal(out_c, np.float32)
    packed = panels(layer.k, layer.conv, _kernels.WINOGRAD, filters, scale)
    # anywhere in memory, as in a reader's slot, and NaNs around them
    raw = np.full(out_c * in_c * 9 + 40, np.nan, np.float32)
    rows = raw[7:7 + out_c * in_c * 9].reshape(out_c, in_c * 9)
    rows[:] = filters.reshape(out_c, -1)
    strip, tiles = (0, 11, 0, 9, 3, 3), 9
    src, u = layer.source().put(layer.x), aligned(layer.conv.wino_u_floats(tiles))
    layer.k.wino_input(layer.conv, src.view, strip, 0, -(-in_c // 16), u)
    want, got = layer.target(), layer.target()
    for i, panel in enumerate(packed):
        scratch = aligned(layer.conv.wino_scratch_floats(tiles))
        layer.k.wino_panel(layer.conv, want.view, strip, panel, layer.bias, i, u, 0, tiles, scratch)
        layer.k.wino_panel_raw(layer.conv, got.view, strip, rows, padded(scale), layer.bias, i, u, 0, tiles,
                               scratch)
    assert np.isfinite(got.get()).all() and got.intact()
    assert np.array_equal(got.get().view(np.int32), want.get().view(np.int32))


def test_what_the_region_does_not_need_is_not_read(isa: str) -> None:
    """A stale float beside a window would be multiplied by zero only on paper."""
    layer = Layer(isa, 20, 16, 17, 17)
    src, out = layer.source().put(layer.x), layer.target()
    columns = src.array[:, :, 1:-1]
    columns[:3], columns[10:] = np.nan, np.nan
    columns[:, :, :5], columns[:, :, 12:] = np.inf, np.nan
    layer.run(src, out, (4, 9, 6, 11))
    got = out.get()[:, 4:9, 6:11]
    assert np.allclose(got[:16], layer.expected[:, 4:9, 6:11], rtol=0, atol=1e-5)
    assert np.isnan(out.get()[:, :, :6]).all() and np.isnan(out.get()[:, 9:]).all()


def test_checked_calls_refuse_small_buffers(isa: str) -> None:
    layer = Layer(isa, 32, 32, 8, 8)
    src, out = layer.source().put(layer.x), layer.target()
    strip = (0, 8, 0, 8, 2, 2)
    u, scratch = aligned(layer.conv.wino_u_floats(4)), aligned(layer.conv.wino_scratch_floats(4))
    with pytest.raises(ValueError, match="does not fit"):
        layer.k.wino_input(layer.conv, src.view, strip, 0, 2, u[:-1])
    with pytest.raises(ValueError, match="too small"):
        layer.k.wino_panel(layer.conv, out.view, strip, layer.packed[0], layer.bias, 0, u, 0, 4,
                           scratch[:36 * 32 * 11])
    with pytest.raises(ValueError, match="do not cover"):
        layer.k.wino_input(layer.conv, src.view, (0, 8, 0, 8, 2, 1), 0, 2, u)
