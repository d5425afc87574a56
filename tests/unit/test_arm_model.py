"""The models of boards: what the in-order core may do in one cycle, and which instructions are one block."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(scope="module")
def tools(root):
    sys.path.insert(0, str(root))
    from tools import arm_model

    return arm_model


def sums(*registers: int) -> list[str]:
    return [f"fmla\tv{n}.4s, v0.4s, v1.s[0]" for n in registers]


def test_in_order_multiply_adds(tools):
    """Independent sums issue one a cycle; a sum waits four cycles for itself."""
    cycles = tools.inorder.cycles
    assert cycles(sums(16, 17, 18, 19)) == 4
    assert cycles(sums(16)) == 4
    # a scalar instruction goes along; a 128-bit load holds its port for two cycles, a 64-bit one goes alone
    assert cycles([*sums(16, 17, 18, 19), "add\tx1, x1, #0x1"]) == 4
    assert cycles([*sums(16, 17, 18, 19), "ldr\tx2, [x3]"]) == 4
    assert cycles([*sums(16, 17, 18, 19), "ldr\tq2, [x3]"]) == 6
    assert cycles([*sums(16, 17, 18, 19), "ldr\td2, [x3]"]) == 5


def test_in_order_waits_for_loads(tools):
    """A multiplication by what was just loaded waits; by what was loaded a turn before, it does not."""
    late = ["ldr\tq1, [x3]", *sums(16, 17, 18, 19)]
    early = [*sums(16, 17, 18, 19), "ldr\tq1, [x3]"]
    assert tools.inorder.cycles(late) > tools.inorder.cycles(early[:4] + ["ldr\tq2, [x3]"])


def test_blocks_that_run_on_are_one(tools):
    """Blocks that follow each other equally often are one; others stay apart."""
    listing = "".join(f"  {a:x}:\tadd\tx0, x0, #{a}\n" for a in range(0x100, 0x120, 4))
    found = tools.blocks_of("5 100 2\n5 108 1\n9 10c 3\n3 900 1\n", listing)
    assert [(n, len(code)) for n, code in found] == [(5, 3), (9, 3)]
    assert found[0][1][2] == "add\tx0, x0, #264"
