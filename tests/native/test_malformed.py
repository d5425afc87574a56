"""Programs that would leave their memory are refused with what is wrong with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from small import SMALL, made, program_of

from darkfuse.engine._engine import Engine
from darkfuse.errors import DarkfuseError, PlanError
from darkfuse.plan.program import Landing, Program


def changed(program: Program, table: str, number: int, **fields: Any) -> Program:
    """The program with fields of one row of a table changed."""
    rows = list(getattr(program, table))
    rows[number] = rows[number]._replace(**fields)
    return replace(program, **{table: tuple(rows)})


def op_changed(program: Program, stage: int, number: int, **fields: Any) -> Program:
    ops = list(program.stages[stage].ops)
    ops[number] = ops[number]._replace(**fields)
    return changed(program, "stages", stage, ops=tuple(ops))


def conv(program: Program) -> Any:
    return program.stages[0].ops[1]


def page(offset: int) -> int:
    return offset // 4096 * 4096


def landings(program: Program) -> tuple[Landing, ...]:
    return program.weights[0].landings


# What is changed: how, and what the refusal says
MALFORMED: dict[str, tuple[Callable[[Program], Program], str]] = {
    "program arena_bytes too small": (
        lambda p: replace(p, arena_bytes=p.arena_bytes - 64),
        "buffer 'layer 1 map' is misaligned or outside the arena"),
    "program arena_bytes=-1": (lambda p: replace(p, arena_bytes=-1), "an arena of -1 bytes"),
    "program outputs=((3, 99),)": (
        lambda p: replace(p, outputs=((3, 99),)),
        "the output of layer 3 is not a map in Darknet's order"),
    "buffers 0 offset=8": (
        lambda p: changed(p, "buffers", 0, offset=8),
        "buffer 'network input' is misaligned or outside the arena"),
    "buffers 0 bytes=2**62": (
        lambda p: changed(p, "buffers", 0, bytes=2**62),
        "buffer 'network input' is misaligned or outside the arena"),
    "tensors 0 buffer=99": (
        lambda p: changed(p, "tensors", 0, buffer=99),
        "the map of layer -1 has no buffer"),
    "tensors 0 slots=10**6": (
        lambda p: changed(p, "tensors", 0, slots=10**6),
        "the map of layer -1 reaches past its buffer"),
    "tensors 0 slots=0": (
        lambda p: changed(p, "tensors", 0, slots=0),
        "the map of layer -1 has impossible sizes"),
    "tensors 0 cols=3": (
        lambda p: changed(p, "tensors", 0, cols=3),
        "input of layer -1: columns 0..28 are not all stored"),
    "tensors 0 row_stride=1": (
        lambda p: changed(p, "tensors", 0, row_stride=1),
        "the map of layer -1 has overlapping rows"),
    "tensors 0 x0=(2**31,)": (
        lambda p: changed(p, "tensors", 0, x0=(2**31,)),
        "the map of layer -1 has a window far away"),
    "tensors 1 channels=2**20": (
        lambda p: changed(p, "tensors", 1, channels=2**20),
        "the map of layer 0 has overlapping rows"),
    "tensors 1 layout=nchw": (
        lambda p: changed(p, "tensors", 1, layout="nchw"),
        "the map of layer 0 has impossible sizes"),
    "weights 0 filters=2**31 - 1": (
        lambda p: changed(p, "weights", 0, filters=2**31 - 1),
        "scale or bias of layer 0 reach past their buffers"),
    "weights 0 per_filter=2**40": (
        lambda p: changed(p, "weights", 0, per_filter=2**40),
        "the weights of layer 0 reach past their reader's slots"),
    "weights 0 raw_filters=2**30": (
        lambda p: changed(p, "weights", 0, raw_filters=2**30),
        "the weights of layer 0 reach past their reader's slots"),
    "weights 0 slots=0": (
        lambda p: changed(p, "weights", 0, slots=0),
        "the weights of layer 0 reach past their reader's slots"),
    "weights 0 resident=1": (
        lambda p: changed(p, "weights", 0, resident=1),
        "the weights of layer 0 has no buffer"),
    "weights 0 landings none": (
        lambda p: changed(p, "weights", 0, landings=()),
        "layer 0 has not all of its own slots to read into"),
    "weights 0 landings askew": (
        lambda p: changed(p, "weights", 0, landings=tuple(Landing(at + 64, n) for at, n in landings(p))),
        "layer 0 has not all of its own slots to read into"),
    "weights 0 landings far away": (
        lambda p: changed(p, "weights", 0, landings=(*landings(p), Landing(2**40, 0))),
        "a read of layer 0 is misaligned, over another, outside the arena or out of time"),
    "weights 0 landings before the arena": (
        lambda p: changed(p, "weights", 0, landings=(*landings(p), Landing(-4096, 0))),
        "a read of layer 0 is misaligned, over another, outside the arena or out of time"),
    "weights 0 landings twice the same": (
        lambda p: changed(p, "weights", 0, landings=(*landings(p), Landing(landings(p)[0].offset, 0))),
        "a read of layer 0 is misaligned, over another, outside the arena or out of time"),
    "weights 0 landings too late": (
        lambda p: changed(p, "weights", 0, landings=tuple(Landing(at, 1) for at, _ in landings(p))),
        "a read of layer 0 is misaligned, over another, outside the arena or out of time"),
    "weights 0 landings over the input": (
        lambda p: changed(p, "weights", 0, landings=(*landings(p), Landing(page(p.buffers[0].offset), 0))),
        "a read of layer 0 overwrites what is in use"),
    "weights 0 resident=-1": (
        lambda p: changed(p, "weights", 0, resident=-1),
        "the weights of layer 0 has no buffer"),
    "weights 2 block=31": (
        lambda p: changed(p, "weights", 2, block=31),
        "the weights of layer 3 come in blocks of 31 filters"),
    "weights 2 block=32, raw_filters=24, slots=1": (
        lambda p: changed(p, "weights", 2, block=32, raw_filters=24, slots=1),
        "the weights of layer 3: a block of 32 filters is not made of reads of 24"),
    "weights 2 packed=scale": (
        lambda p: changed(p, "weights", 2, packed=p.weights[0].scale),
        "the packed weights of layer 3 reach past their buffer"),
    "op 0.1 y=((0, 99),)": (
        lambda p: op_changed(p, 0, 1, y=((0, 99),)),
        "conv of layer 0 computes 0..99 of 20"),
    "op 0.1 y=((5, 2),)": (lambda p: op_changed(p, 0, 1, y=((5, 2),)), "conv of layer 0 computes 5..2 of 20"),
    "op 0.1 x=((-1, 3),)": (
        lambda p: op_changed(p, 0, 1, x=((-1, 3),)),
        "conv of layer 0 computes -1..3 of 28"),
    "op 0.1 inputs=()": (
        lambda p: op_changed(p, 0, 1, inputs=()),
        "conv of layer 0 names maps that are not there"),
    "op 0.1 output=-1": (
        lambda p: op_changed(p, 0, 1, output=-1),
        "conv of layer 0 names maps that are not there"),
    "op 0.1 kernel=winograd": (
        lambda p: op_changed(p, 0, 1, kernel="winograd"),
        "conv of layer 0 joins maps that do not fit each other"),
    "op 0.1 kernel=direct": (
        lambda p: op_changed(p, 0, 1, kernel="direct"),
        "conv of layer 0 joins maps that do not fit each other"),
    "op 0.1 weights=5": (lambda p: op_changed(p, 0, 1, weights=5), "conv of layer 0 has no weights"),
    "op 0.1 options size=255": (
        lambda p: op_changed(p, 0, 1, options=replace(conv(p).options, size=255)),
        "convolution of layer 0 does not fit its weights"),
    "op 0.1 options stride=0": (
        lambda p: op_changed(p, 0, 1, options=replace(conv(p).options, stride=0)),
        "convolution of layer 0 has impossible options"),
    "op 0.1 options pad=99": (
        lambda p: op_changed(p, 0, 1, options=replace(conv(p).options, pad=99)),
        "convolution of layer 0 does not make a map of that size"),
    "op 0.1 options=None": (
        lambda p: op_changed(p, 0, 1, options=None),
        "convolution of layer 0 has impossible options"),
    "stages 0 grid=(0, 1)": (lambda p: changed(p, "stages", 0, grid=(0, 1)), "stage 0 has impossible sizes"),
    "stages 2 scratch=0": (
        lambda p: changed(p, "stages", 2, scratch=0),
        "the scratch of stage 2 reaches past its buffer"),
    "stages 0 last=1": (
        lambda p: changed(p, "stages", 0, last=1),
        "stage 0 is not done with its input before it writes"),
    "stages 1 first=0": (
        lambda p: changed(p, "stages", 1, first=0),
        "stage 1 is not done with its input before it writes"),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, str]:
    """A program that runs, and its weights."""
    graph, weights = made(SMALL, tmp_path_factory.mktemp("sound"))
    return program_of(graph, weights, 1, "streamed"), weights


def test_the_program_all_are_made_from_is_sound(sound: tuple[Program, str]) -> None:
    Engine(sound[0], sound[1], 1).close()


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_programs_are_refused(case: str, sound: tuple[Program, str]) -> None:
    change, says = MALFORMED[case]
    with pytest.raises(PlanError) as refused:
        Engine(change(sound[0]), sound[1], 1)
    assert str(refused.value) == f"malformed program: {says}; make the plan again"


@pytest.mark.parametrize("threads", [0, 2])
def test_threads_it_is_not_laid_out_for(threads: int, sound: tuple[Program, str]) -> None:
    with pytest.raises(PlanError, match=rf"laid out for 1\.\.1 threads, not {threads}"):
        Engine(*sound, threads)


def test_an_instruction_set_that_is_not_there(sound: tuple[Program, str]) -> None:
    with pytest.raises(DarkfuseError, match="this processor has no instruction set 'mmx'"):
        Engine(*sound, 1, "mmx")
