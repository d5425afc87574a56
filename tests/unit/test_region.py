"""Tile regions against brute force: dependency sets followed one position at a time."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import assume, given
from hypothesis import strategies as st
from profiles import examples

from darkfuse.graph.ir import Window
from darkfuse.plan.layout.region import Link, Step, clip, read, solve


class Problem(NamedTuple):
    lengths: tuple[int, ...]
    links: tuple[Link, ...]
    tiles: int
    whole: frozenset[int]


@st.composite
def steps(draw, length: int) -> tuple[tuple[Step, ...], int]:
    """Layers reading a map of `length`, and the length of what they make."""
    kind = draw(st.sampled_from(("window", "window", "window", "fused", "upsample", "point")))
    if kind == "point":
        return (Step(length),), length
    if kind == "upsample":
        scale = draw(st.integers(2, 3))
        return (Step(length, scale=scale),), length * scale
    window = Window(draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(0, 3)),
                    draw(st.integers(1, 2)))
    made = (length + 2 * window.pad_before - window.extent) // window.stride + 1
    if made < 1:
        return (Step(length),), length
    step = Step(length, window, padded=draw(st.booleans()))
    if kind == "fused":
        return (Step(made, Window(2, 2, 0)), step), (made + 1) // 2
    return (step,), made


@st.composite
def problems(draw) -> Problem:
    lengths = [draw(st.integers(1, 24))]
    links: list[Link] = []
    for reader in range(1, draw(st.integers(1, 6)) + 1):
        source = draw(st.integers(max(0, reader - 3), reader - 1))
        chain, made = draw(steps(lengths[source]))
        links.append(Link(reader, source, chain))
        lengths.append(made)
        # A second source of the same length, as a shortcut has.
        for other in range(source):
            if lengths[other] == made and draw(st.booleans()):
                links.append(Link(reader, other, (Step(made),)))
                break
    whole = frozenset(draw(st.sets(st.integers(0, len(lengths) - 1), max_size=2)))
    return Problem(tuple(lengths), tuple(links), draw(st.integers(1, 9)), whole)


def partition(length: int, tiles: int) -> tuple[tuple[int, int], ...]:
    """What a group delivers, tile by tile."""
    return solve([length], [], tiles, False)[0].spans


def reads(chain: tuple[Step, ...], position: int) -> set[int]:
    """Positions inside the source that one output position depends on."""
    wanted = {position}
    for step in chain:
        found = set()
        for p in wanted:
            if p >= 0:
                start = step.window.start(p // step.scale)
                found |= {start + tap * step.window.dilation for tap in range(step.window.kernel)}
        wanted = {p for p in found if 0 <= p < step.length}
    return wanted


@examples(400)
@given(problems(), st.booleans())
def test_every_dependency_is_there(problem: Problem, cached: bool):
    """A tile finds all it reads computed by then, and still kept; at the end nothing is missing."""
    axes = solve(problem.lengths, problem.links, problem.tiles, cached, problem.whole)
    done: list[set[int]] = [set() for _ in axes]
    for tile in range(problem.tiles):
        for number, axis in enumerate(axes):
            span = set(range(*axis.spans[tile]))
            if cached:
                assert not span & done[number]
                kept = done[number] | span
            else:
                kept = span
            done[number] |= span
            kept = {p for p in kept if axis.first[tile] <= p < axis.high[tile]}
            assert axis.low[tile] <= axis.first[tile]
            for link in problem.links:
                if link.source == number:
                    for position in range(*axes[link.reader].spans[tile]):
                        wanted = reads(link.steps, position)
                        assert wanted <= kept
                        assert all(axis.low[tile] <= p < axis.high[tile] for p in wanted)
    readers = {link.source for link in problem.links}
    for number, length in enumerate(problem.lengths):
        if cached or number not in readers or number in problem.whole:
            assert done[number] == set(range(length))


@examples(300)
@given(problems())
def test_without_caches_nothing_beyond_the_dependency_hull_is_computed(problem: Problem):
    """Halo recompute computes just the smallest span that holds the windows of the tile."""
    windows = [step.window for link in problem.links for step in link.steps]
    assume(all(window.pad_before < window.extent for window in windows))  # else some windows hold nothing
    assume(all(window.dilation == 1 for window in windows))  # else some positions inside are not read
    axes = solve(problem.lengths, problem.links, problem.tiles, False)
    readers = {link.source for link in problem.links}
    for tile in range(problem.tiles):
        for number, axis in enumerate(axes):
            wanted: set[int] = set()
            if number not in readers:
                wanted |= set(range(*partition(problem.lengths[number], problem.tiles)[tile]))
            for link in problem.links:
                if link.source == number:
                    for position in range(*axes[link.reader].spans[tile]):
                        wanted |= reads(link.steps, position)
            start, end = axis.spans[tile]
            if not wanted:
                assert end - start <= problem.lengths[number]
            else:
                assert (start, end) == (min(wanted), max(wanted) + 1)


@given(st.integers(0, 40), st.integers(1, 50))
def test_partitions_are_even(length: int, tiles: int):
    spans = partition(length, tiles)
    assert [p for span in spans for p in range(*span)] == list(range(length))
    sizes = [end - start for start, end in spans]
    assert max(sizes) - min(sizes) <= 1


def test_the_papers_example():
    """MAFAT's arithmetic for the centre tile of 3x3/NoCut, YOLOv2-608: rows read by layers 15 to 0."""
    expected = {15: (13, 26), 14: (12, 27), 12: (11, 28), 11: (22, 56), 10: (21, 57), 8: (20, 58),
                7: (40, 116), 6: (39, 117), 4: (38, 118), 3: (76, 236), 2: (75, 237), 1: (150, 474),
                0: (149, 475)}
    pools, ones = (1, 3, 7, 11), (5, 9, 13, 15)
    span, length = (13, 26), 38
    for layer in range(15, -1, -1):
        window = Window(2, 2, 0) if layer in pools else Window(1, 1, 0) if layer in ones else Window(3, 1, 1)
        length *= window.stride
        span = clip(read((Step(length, window),), span), length)
        assert layer not in expected or span == expected[layer]


def test_padding_is_stored_only_where_it_is_read():
    padded, plain = Window(3, 1, 1), Window(2, 2, 0)
    axis = solve([8, 8], [Link(1, 0, (Step(8, padded, padded=True),))], 2, True)[0]
    assert (axis.low, axis.high) == ((-1, 3), (5, 9))
    axis = solve([7, 4], [Link(1, 0, (Step(7, plain),))], 1, True)[0]
    assert (axis.low, axis.high) == ((0,), (7,))


def test_reading_through_a_fused_pool_stays_inside_the_convolution():
    chain = (Step(5, Window(2, 2, 0)), Step(5, Window(3, 1, 1), padded=True))
    assert read(chain, (2, 3)) == (3, 6)  # pooled row 2 is row 4 alone, which reads 3..5
    assert clip((-3, 9), 5) == (0, 5)
