"""A dual-issue in-order core like Cortex-A53: cycles of a loop whose loads all hit the first-level cache.

Two instructions a cycle at most, in program order. The rules are those public guides for this core agree
on: one vector instruction a cycle; a 128-bit load takes the load port for two cycles and pairs with no
arithmetic on vectors, a 64-bit one does; a general-register load pairs with a multiply-add; sums forward
to the next multiply-add after 4 cycles, to others after 8. `strict` also keeps a vector load from issuing
4 cycles after a multiply-add, when both want to write. Latencies are assumed: a model, not a measurement.
"""

from __future__ import annotations

import re
from typing import NamedTuple

VECTOR = ("multiply", "vector")
MEMORY = ("vector load", "vector store", "load", "store")


class Step(NamedTuple):
    """One instruction. `sum_of`: the register a multiply-add adds to. `port`: cycles it holds its port."""

    kind: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    latency: int
    port: int = 1
    sum_of: str = ""
    moved: str = ""  # base register written back


def _registers(text: str) -> list[str]:
    found = re.findall(r"\b([vqdsxw])(\d+)\b|\b(sp)\b", text)
    return [sp or ("v" if kind in "vqds" else "x") + number for kind, number, sp in found]


def decode(line: str) -> Step:
    """A line of objdump: mnemonic and operands."""
    name, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
    rest = rest.strip()
    regs = _registers(rest)
    vector = bool(regs) and regs[0][0] == "v"
    moved = ""
    if "[" in rest and (rest.endswith("!") or re.search(r"\],", rest)):
        moved = _registers(rest[rest.index("[") :])[0]
    if name in ("fmla", "fmls"):
        return Step("multiply", tuple(regs[1:]), (regs[0],), 8, sum_of=regs[0])
    if name.startswith("ld") and vector:
        quads = rest.startswith(("q", "{"))
        count = 2 if name == "ldp" else 1
        written = regs[:count]
        if rest.startswith("{"):
            written = _registers(rest[: rest.index("}")])
            if "-" in rest[: rest.index("}")]:
                first, last = (int(r[1:]) for r in written)
                written = [f"v{n}" for n in range(first, last + 1)]
        rest_regs = [r for r in regs[len(written) :] if r[0] != "v"]
        port = (2 if quads else 1) * len(written)
        return Step(
            "vector load", tuple(rest_regs), tuple(written), (5 if quads else 4) + port - 1, port, moved=moved
        )
    if name.startswith("ld"):
        count = 2 if name == "ldp" else 1
        return Step("load", tuple(regs[count:]), tuple(regs[:count]), 3, moved=moved)
    if name.startswith("st"):
        wide = 2 if rest.startswith(("q", "{")) else 1
        return Step(
            "vector store" if vector else "store",
            tuple(regs),
            (),
            1,
            (wide if vector else 1) * (2 if name == "stp" else 1),
            moved=moved,
        )
    if name.startswith("prf"):
        return Step("load", tuple(regs), (), 1)
    if re.match(r"(b|bl|blr|br|ret|cbn?z|tbn?z|b\..*)$", name):
        return Step("branch", tuple(regs), (), 1)
    if name in ("ins", "mov") and re.match(r"v\d+\.d\[1\]", rest):
        return Step("insert", tuple(regs[1:]), (regs[0],), 2)
    if name in ("cmp", "cmn", "tst", "nop"):
        return Step("integer", (*regs,), ("flags",), 1)
    if vector:
        return Step("vector", tuple(regs[1:]), (regs[0],), 4 if name.startswith("f") else 3)
    flags = ("flags",) if name.startswith(("cs", "ccmp")) else ()
    return Step("integer", (*regs[1:], *flags), tuple(regs[:1]), 1)


def _pairs(kind: str, port: int, others: list[Step]) -> bool:
    """Whether an instruction may issue in the cycle of those that went before it."""
    for other in others:
        if kind in VECTOR and (other.kind in (*VECTOR, "vector load", "vector store", "insert")):
            return False
        if kind in MEMORY and other.kind in MEMORY:
            return False
        if kind in ("vector load", "vector store") and (
            other.kind in VECTOR or port > 1 and other.kind == "insert"
        ):
            return False
        if kind == "insert" and other.kind in (*VECTOR, "insert") or kind == other.kind == "branch":
            return False
    return True


def cycles(lines: list[str], strict: bool = False, turns: int = 30) -> float:
    """Cycles of one turn, once the loop runs steadily."""
    steps = [decode(line) for line in lines]
    ready: dict[str, int] = {}
    sums: dict[str, int] = {}
    multiplied: set[int] = set()
    now, free, half = 0, 0, 0
    issued: list[Step] = []
    for turn in range(turns):
        if turn == turns // 2:
            half = now
        for step in steps:
            start = max([now, *(ready.get(r, 0) for r in step.reads)])
            if step.sum_of:
                start = max(start, sums.get(step.sum_of, ready.get(step.sum_of, 0)))
            if step.kind not in ("integer", "branch"):
                start = max(start, free)
            while True:
                if start > now:
                    now, issued = start, []
                late = strict and step.kind == "vector load" and now - 4 in multiplied
                if len(issued) < 2 and _pairs(step.kind, step.port, issued) and not late:
                    break
                start = now + 1
            issued.append(step)
            if step.kind == "multiply":
                multiplied.add(now)
            if step.port > 1:
                free = now + step.port
            for r in step.writes:
                ready[r] = now + step.latency
                sums.pop(r, None)
            if step.sum_of:
                sums[step.sum_of] = now + 4
            if step.moved:
                ready[step.moved] = now + 1
    return (now - half) / (turns - turns // 2)
