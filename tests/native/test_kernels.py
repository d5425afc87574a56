"""Every kernel of every instruction set this CPU has, against float64."""

from __future__ import annotations

import numpy as np
import pytest

from darkfuse.kernels import _kernels, reference
from darkfuse.kernels.reference import Map, padded, panels

ISAS = _kernels.available()
pytestmark = pytest.mark.parametrize("isa", ISAS)

# in_c, out_c, size, stride, pad, dilation, groups, height, width, kernel
SHAPES = [
    (3, 32, 3, 1, 1, 1, 1, 29, 31, "first"),
    (3, 16, 3, 1, 1, 1, 1, 13, 16, "first"),
    (3, 24, 3, 2, 1, 1, 1, 17, 13, "first"),
    (3, 33, 7, 2, 3, 1, 1, 23, 30, "first"),
    (3, 12, 5, 3, 2, 1, 1, 19, 22, "first"),
    (1, 1, 1, 1, 0, 1, 1, 1, 1, "direct"),
    (16, 32, 3, 1, 1, 1, 1, 13, 13, "direct"),
    (33, 127, 3, 1, 1, 1, 1, 9, 27, "direct"),
    (31, 48, 3, 2, 1, 1, 1, 15, 19, "direct"),
    (128, 31, 1, 1, 0, 1, 1, 7, 61, "direct"),
    (300, 24, 1, 1, 0, 1, 1, 3, 5, "direct"),
    (13, 13, 5, 1, 2, 1, 1, 11, 12, "direct"),
    (24, 16, 3, 1, 2, 2, 1, 12, 14, "direct"),
    (12, 33, 3, 4, 1, 1, 1, 21, 40, "direct"),
    (127, 128, 3, 1, 1, 1, 1, 6, 7, "direct"),
    (16, 20, 2, 2, 0, 1, 1, 8, 400, "direct"),
    (40, 24, 3, 1, 0, 1, 1, 8, 9, "direct"),
    (16, 40, 3, 1, 4, 4, 1, 3, 20, "direct"),
    (24, 24, 3, 1, 1, 1, 24, 9, 11, "general"),
    (33, 33, 3, 2, 1, 1, 33, 12, 13, "general"),
    (64, 32, 3, 1, 1, 1, 2, 7, 10, "general"),
    (24, 36, 3, 1, 1, 1, 12, 8, 9, "general"),
    (12, 48, 5, 2, 2, 2, 3, 16, 17, "general"),
    (3, 17, 3, 1, 2, 2, 1, 10, 9, "general"),
]


def make(rng, shape, act="leaky", pool=0, **where):
    """Random convolution: what the kernels take, and the float64 answer."""
    in_c, out_c, size, stride, pad, dilation, groups, h, w, kernel = shape
    x = rng.standard_normal((in_c, h, w)).astype(np.float32)
    filters = rng.standard_normal((out_c, in_c // groups, size, size)).astype(np.float32)
    filters /= np.sqrt(filters[0].size)
    scale = rng.uniform(0.5, 2, out_c).astype(np.float32)
    bias = rng.standard_normal(out_c).astype(np.float32)
    geometry = dict(stride=stride, pad=pad, dilation=dilation, groups=groups, act=act, pool=pool)
    want = reference.conv(x, filters * scale[:, None, None, None], bias, **geometry)
    span = (size - 1) * dilation + 1
    conv_h, conv_w = (h + 2 * pad - span) // stride + 1, (w + 2 * pad - span) // stride + 1
    c = _kernels.Conv(in_c, out_c, size, conv_h, conv_w, **geometry)
    image = kernel == "first" or in_c == 3
    src = Map(in_c, h, w, margin=pad, image=image, before=where.get("src_before", 0), after=1 - image).put(x)
    return c, src, filters, scale, bias, want


def run(isa, kernel, c, src, out, filters, scale, bias, regions=None):
    k = _kernels.Kernels(isa)
    kind = _kernels.KERNELS[kernel]
    _, h, w = out.shape
    for panel, packed in enumerate(panels(k, c, kind, filters, scale)):
        for region in regions or [(0, h, 0, w)]:
            k.conv(kind, c, src.view, out.view, packed, padded(bias), panel, *region)


def close(got, want, channels):
    """Real channels agree to float32 rounding of the sums, padding channels are exactly zero."""
    assert not got[channels:].any()
    np.testing.assert_allclose(got[:channels], want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("pool", [0, 2])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_convolution(isa, shape, pool):
    c, src, filters, scale, bias, want = make(np.random.default_rng(1), shape, pool=pool)
    out = Map(*want.shape, margin=2, before=1, after=2)
    run(isa, shape[-1], c, src, out, filters, scale, bias)
    close(out.get(), want, shape[1])
    assert out.intact()


@pytest.mark.parametrize("act", sorted(_kernels.ACTIVATIONS))
@pytest.mark.parametrize("kernel", ["direct", "general"])
def test_activations(isa, act, kernel):
    shape = (16, 21, 3, 1, 1, 1, 1, 9, 10, kernel)
    c, src, filters, scale, bias, want = make(np.random.default_rng(2), shape, act=act)
    out = Map(*want.shape)
    run(isa, kernel, c, src, out, filters, scale, bias * 4)
    want = reference.activate(reference.conv(src.get()[:16], filters * scale[:, None, None, None], bias * 4,
                                             pad=1), act)
    close(out.get(), want, 21)


@pytest.mark.parametrize("pool", [0, 2])
@pytest.mark.parametrize("shape", [SHAPES[i] for i in (0, 3, 7, 8, 9, 14, 15, 22)], ids=str)
def test_same_bits_for_any_region(isa, shape, pool):
    rng = np.random.default_rng(3)
    c, src, filters, scale, bias, want = make(rng, shape, pool=pool)
    whole = Map(*want.shape)
    run(isa, shape[-1], c, src, whole, filters, scale, bias)
    for _ in range(4):
        ys = sorted({0, want.shape[1], *rng.integers(0, want.shape[1] + 1, 3).tolist()})
        xs = sorted({0, want.shape[2], *rng.integers(0, want.shape[2] + 1, 3).tolist()})
        regions = [(a, b, left, right) for a, b in zip(ys, ys[1:]) for left, right in zip(xs, xs[1:])]
        cut = Map(*want.shape)
        run(isa, shape[-1], c, src, cut, filters, scale, bias, regions)
        np.testing.assert_array_equal(cut.get().view(np.int32), whole.get().view(np.int32))


@pytest.mark.parametrize("shape", [SHAPES[i] for i in (0, 7, 8, 12, 22)], ids=str)
def test_line_buffers(isa, shape):
    """Rows arriving one at a time into as many slots as the window is high give the whole map's bits."""
    in_c, _, size, stride, pad, dilation, _, h, w, kernel = shape
    c, src, filters, scale, bias, want = make(np.random.default_rng(4), shape)
    whole = Map(*want.shape)
    run(isa, kernel, c, src, whole, filters, scale, bias)
    span = (size - 1) * dilation + 1
    line = Map(in_c, h, w, margin=pad, image=in_c == 3, slots=span)
    out = Map(*want.shape, slots=1)
    x = src.get()[:in_c]
    have = 0
    for y in range(want.shape[1]):
        need = min(h, y * stride - pad + span)
        line.put(x, have, need)
        have = max(have, need)
        run(isa, kernel, c, line, out, filters, scale, bias, [(y, y + 1, 0, want.shape[2])])
        np.testing.assert_array_equal(out.get()[:, 0], whole.get()[:, y])


@pytest.mark.parametrize("shape", [SHAPES[i] for i in (0, 7, 8, 14, 23)], ids=str)
def test_packing_in_any_pieces(isa, shape):
    in_c, out_c, size, *_, groups, _, _, kernel = shape
    rng = np.random.default_rng(5)
    c, _, filters, scale, _, _ = make(rng, shape)
    k, kind = _kernels.Kernels(isa), _kernels.KERNELS[kernel]
    once = np.concatenate(panels(k, c, kind, filters, scale))
    area = np.full(c.packed_floats(kind, out_c), np.nan, np.float32)
    cuts = sorted({0, out_c, *rng.integers(0, out_c + 1, 5).tolist()})
    for a, b in zip(cuts, cuts[1:]):
        k.pack(c, kind, np.ascontiguousarray(filters[a:b]).reshape(-1), scale, a, b - a, 0, area)
    np.testing.assert_array_equal(area, once)
    # every weight once, scaled, the rest zeros
    want = np.sort((filters * scale[:, None, None, None]).reshape(-1))
    got = np.sort(area)
    assert (got == 0).sum() == got.size - want.size
    np.testing.assert_array_equal(got[got != 0], want)


@pytest.mark.parametrize("size, stride", [(2, 2), (2, 1), (3, 2), (5, 1), (9, 1), (13, 1), (3, 3)])
def test_maxpool(isa, size, stride):
    x = np.random.default_rng(6).standard_normal((37, 13, 15)).astype(np.float32)
    h, w = (13 - 1) // stride + 1, (15 - 1) // stride + 1
    before = (size - 1) // 2
    src, out = Map(37, 13, 15, margin=1).put(x), Map(37, h, w, before=1)
    k = _kernels.Kernels(isa)
    for y in range(h):
        k.maxpool(src.view, out.view, size, stride, before, y, y + 1, 0, w // 2, 0, 3)
        k.maxpool(src.view, out.view, size, stride, before, y, y + 1, w // 2, w, 0, 3)
    np.testing.assert_array_equal(out.get()[:37], reference.maxpool(x, size, stride, before, h, w))
    assert out.intact() and not out.get()[37:].any()


def test_upsample_and_copy(isa):
    x = np.random.default_rng(7).standard_normal((19, 5, 7)).astype(np.float32)
    k = _kernels.Kernels(isa)
    src, big, same = Map(19, 5, 7).put(x), Map(19, 15, 21, after=1), Map(19, 5, 7, before=2)
    k.upsample(src.view, big.view, 3, 0.5, 0, 15, 0, 21, 0, 2)
    np.testing.assert_array_equal(big.get()[:19], (x * np.float32(0.5)).repeat(3, 1).repeat(3, 2))
    k.copy(src.view, same.view, 0, 5, 0, 7, 0, 2)
    np.testing.assert_array_equal(same.get(), src.get())
    assert big.intact() and same.intact()


@pytest.mark.parametrize("act", ["linear", "leaky", "mish", "logistic"])
@pytest.mark.parametrize("other", [(20, 8, 10), (33, 8, 10), (12, 16, 20), (40, 4, 5)], ids=str)
def test_shortcut(isa, act, other):
    """Darknet's shortcut_cpu: the smaller extent is covered, the larger map sampled."""
    rng = np.random.default_rng(8)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((20, 8, 10), other))
    want = a.astype(np.float64)
    channels = min(20, other[0])
    stride, sample = max(1, other[2] // 10), max(1, 10 // other[2])
    want[:channels, ::sample, ::sample] += b[:channels, ::stride, ::stride]
    out = Map(20, 8, 10, before=1)
    _kernels.Kernels(isa).shortcut(Map(20, 8, 10).put(a).view, Map(*other).put(b).view, out.view, act,
                                   0, 8, 0, 10, 0, 2)
    close(out.get(), reference.activate(want, act), 20)
    assert out.intact()


def test_bad_calls_are_refused(isa):
    k = _kernels.Kernels(isa)
    c, src, filters, scale, bias, want = make(np.random.default_rng(9), SHAPES[6])
    packed, out = panels(k, c, _kernels.DIRECT, filters, scale)[0], Map(*want.shape)
    for args in [
        (packed[:-1], padded(bias), 0, 0, 13, 0, 13),
        (packed, bias[:-1], 0, 0, 13, 0, 13),
        (packed, padded(bias), 1, 0, 13, 0, 13),
        (packed, padded(bias), 0, 0, 14, 0, 13),
        (packed, padded(bias), 0, 0, 13, -1, 13),
    ]:
        with pytest.raises(ValueError):
            k.conv(_kernels.DIRECT, c, src.view, out.view, *args)
    narrow = Map(16, 13, 13, margin=0)
    with pytest.raises(ValueError):
        k.conv(_kernels.DIRECT, c, narrow.view, out.view, packed, padded(bias), 0, 0, 13, 0, 13)
