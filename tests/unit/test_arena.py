"""Offsets from lifetimes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import examples

from darkfuse.plan.layout.arena import ALIGN, Block, Packing, Tie, aligned, alive, pack, shared

blocks = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 15), st.integers(0, 6)).map(
        lambda t: Block(t[0], t[1], t[1] + t[2])),
    max_size=40,
)


@st.composite
def tied(draw) -> tuple[list[Block], list[Tie]]:
    """Blocks, and ties between some that meet in one step."""
    given_blocks = draw(blocks)
    ties: list[Tie] = []
    for source, one in enumerate(given_blocks):
        meeting = [n for n, other in enumerate(given_blocks) if other.first == one.last and n != source
                   and one.bytes and other.bytes and one.first < one.last and other.first < other.last
                   and all(tie.target != n for tie in ties)]
        if meeting and draw(st.booleans()):
            target = draw(st.sampled_from(meeting))
            shift = ALIGN * draw(st.integers(0, max(0, (given_blocks[target].bytes - 1) // ALIGN)))
            ties.append(Tie(source, target, shift))
    return given_blocks, ties


def check(packed: list[Block], packing: Packing, ties: tuple[Tie, ...] | list[Tie] = ()) -> None:
    for number, (block, offset) in enumerate(zip(packed, packing.offsets)):
        assert offset % ALIGN == 0
        assert offset >= 0 and offset + block.bytes <= packing.bytes
        for at_other, (other, at) in enumerate(zip(packed[:number], packing.offsets)):
            together = block.first <= other.last and other.first <= block.last
            apart = offset + block.bytes <= at or at + other.bytes <= offset
            meet = any({tie.source, tie.target} == {number, at_other} for tie in ties)
            assert apart or meet or not together or not block.bytes or not other.bytes
    assert packing.bound <= packing.bytes <= sum(aligned(b.bytes) for b in packed)
    for tie in ties:
        assert packing.offsets[tie.source] == packing.offsets[tie.target] + tie.shift


@examples(300)
@given(blocks)
def test_blocks_alive_together_never_overlap(given_blocks):
    packing = pack(given_blocks)
    check(given_blocks, packing)
    steps = range(max((b.last for b in given_blocks), default=0) + 1)
    assert packing.bound == max(
        sum(aligned(b.bytes) for b in given_blocks if b.first <= step <= b.last) for step in steps)
    assert packing == pack(given_blocks)


@examples(300)
@given(tied())
def test_tied_blocks_lie_as_they_must_and_share_once(given_tied):
    given_blocks, ties = given_tied
    packing = pack(given_blocks, ties)
    check(given_blocks, packing, ties)
    for step, live in enumerate(alive(given_blocks, ties)):
        own = sum(aligned(b.bytes) for b in given_blocks if b.first <= step <= b.last)
        assert live == own - sum(shared(given_blocks[t.source].bytes, given_blocks[t.target].bytes, t.shift)
                                 for t in ties if given_blocks[t.target].first == step)


def test_a_chain_of_ties_needs_no_more_than_its_largest_pair():
    """Four maps of one size, each written a row ahead of the one before: never two of them whole."""
    row, size = 640, 6400
    chain = [Block(size, step, step + 1) for step in range(4)]
    ties = [Tie(step, step + 1, row) for step in range(3)]
    packing = pack(chain, ties)
    check(chain, packing, ties)
    assert packing.bound == size + row and packing.bytes == size + 3 * row
    assert pack(chain).bytes == 2 * size


def test_a_tie_that_cannot_be_is_refused():
    for tie in (Tie(0, 1, 63), Tie(0, 1, -64), Tie(1, 0, 64)):
        with pytest.raises(ValueError, match="no tie"):
            pack([Block(640, 0, 1), Block(640, 1, 2)], [tie])


def test_near_the_bound_on_chains_like_networks():
    """Maps handed from layer to layer, some of them kept for long, weights that live one step."""
    generator = random.Random(1)
    for _ in range(50):
        steps = 40
        chain = [Block(generator.randrange(1 << 10, 1 << 22), s, s + 1) for s in range(steps)]
        chain += [Block(generator.randrange(1 << 10, 1 << 21), s, s) for s in range(steps)]
        chain += [Block(generator.randrange(1 << 10, 1 << 21), s, s + 8) for s in range(0, steps, 10)]
        packing = pack(chain)
        assert packing.bytes <= 1.05 * packing.bound


def test_nothing_takes_nothing():
    assert pack([]) == Packing((), 0, 0)
    assert alive([Block(0, 0, 3)]) == [0, 0, 0, 0]


def test_blocks_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="no block"):
        pack([Block(-1, 0, 0)])
    with pytest.raises(ValueError, match="no block"):
        pack([Block(1, 2, 1)])
