"""One frame of a `Program` as a C program: the engine's and the kernels' own sources, no Python, no weights.

It runs wherever its compiler aims, so that instructions (under qemu), cycles (of the blocks that ran) and
cache traffic (under cachegrind) are those of one and the same plan. All weights are zeros in place, the
photo is not scaled, and every layer runs as it does on a board.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.plan.program import Op, Program, Tensor

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = {"blocks": ("DF_BLOCKS", 16), "image": ("DF_IMAGE", 3), "chw": ("DF_CHW", 1)}
ACTIVATIONS = ("linear", "leaky", "relu", "logistic", "mish", "swish", "relu6", "tanh", "elu")
MAIN = """
int main(void)
{
    static df_engine e;
    e.table = df_kernels(NULL);
    e.threads = %d;
    e.come = 1;
    e.tensors = tensors;
    e.weights = weights;
    e.n_weights = sizeof weights / sizeof *weights;
    e.stages = stages;
    e.n_stages = sizeof stages / sizeof *stages;
    if (!df_reader_plan(&e, arena, sizeof arena) || !e.table || df_run(&e) != DF_RUNNING)
        return 1;
    return e.macs == %d ? 0 : 2; /* all of the network, or the figures are of something else */
}
"""


class Unsupported(Exception):
    """The plan needs something only the real engine has: weights that are read, windows that move."""


def _fields(**values: Any) -> str:
    return "{" + ", ".join(f".{name} = {value}" for name, value in values.items()) + "}"


def _spans(values: Iterable[tuple[int, int]]) -> str:
    return "(df_span[]){" + ", ".join(f"{{{a}, {b}}}" for a, b in values) + "}"


def _at(program: Program, buffer: int, offset: int = 0) -> str:
    return f"(void *)(arena + {program.buffers[buffer].offset + offset})"


def _tensor(program: Program, t: Tensor) -> str:
    if t.keep is not None:
        raise Unsupported("windows that move")
    layout, pixel = LAYOUTS[t.layout]
    return _fields(
        base=_at(program, t.buffer, t.offset),
        row_stride=t.row_stride,
        layout=layout,
        pixel=pixel,
        channels=t.channels,
        blocks=-(-t.channels // 16),
        height=t.height,
        width=t.width,
        cols=t.cols,
        slots=t.slots,
        moves=int(len(t.x0) > 1),
        x0="(const int32_t[]){" + ", ".join(map(str, t.x0)) + "}",
    )


def _op(program: Program, op: Op) -> str:
    o = op.options
    values: dict[str, Any] = {
        "kind": f"DF_{op.kind.upper()}",
        "node": op.node,
        "n_in": len(op.inputs),
        "in": "(df_tensor *[]){" + ", ".join(f"&tensors[{n}]" for n in op.inputs) + "}",
        "out": f"&tensors[{op.output}]",
        "y": _spans(op.y),
        "x": _spans(op.x),
        "size": getattr(o, "size", 1),
        "stride": getattr(o, "stride", 1),
        "stride_x": getattr(o, "stride", 1),
        "pad": getattr(o, "padding", 0) // 2,
        "groups": getattr(o, "groups", 1),
        "act": ACTIVATIONS.index(getattr(o, "activation", "linear")),
        "scale": float(getattr(o, "temperature", getattr(o, "scale", 1.0))),
        "from_channel": op.block_offset,
        "to_channel": op.dest_channel,
        "channels": op.channels or program.tensors[op.inputs[0]].channels,
        "keep_in": 1,
        "keep_out": 1,
    }
    if op.kind == "conv":
        assert isinstance(o, ConvOptions)
        w, before = program.weights[op.weights], program.tensors[op.inputs[0]]
        if w.residency != "pinned":
            raise Unsupported("weights that are read")
        span = (o.size - 1) * o.dilation + 1
        high, wide = ((side + 2 * o.pad - span) // o.stride + 1 for side in (before.height, before.width))
        values["weights"] = f"&weights[{op.weights}]"
        values["kernel"], values["strip"] = f"DF_{op.kernel.upper()}", op.strip
        values["conv"] = _fields(
            in_c=before.channels,
            out_c=w.filters,
            size=o.size,
            stride=o.stride,
            pad=o.pad,
            dilation=o.dilation,
            groups=o.groups,
            act=values["act"],
            pool=op.pool,
            conv_h=high,
            conv_w=wide,
        )
    return _fields(**values)


def source(program: Program) -> str:
    """The C program. Raises `Unsupported`."""
    lines = [
        '#include "engine.h"',
        f"static char arena[{program.arena_bytes}] __attribute__((aligned(4096)));",
        "static df_tensor tensors[] = {",
        *(f"    {_tensor(program, t)}," for t in program.tensors),
        "};",
        "static df_weights weights[] = {",
    ]
    for w in program.weights:
        lines.append(
            "    "
            + _fields(
                residency="DF_PINNED",
                node=w.node,
                filters=w.filters,
                block=w.block,
                per_filter=w.per_filter,
                scale=_at(program, w.scale),
                bias=_at(program, w.bias),
                packed=_at(program, max(w.packed, 0)),
            )
            + ","
        )
    lines.append("};")
    stages = []
    for n, stage in enumerate(program.stages):
        stage = stage._replace(ops=tuple(op for op in stage.ops if op.kind != "input"))
        lines.append(f"static df_op ops_{n}[] = {{")
        lines += [f"    {_op(program, op)}," for op in stage.ops] or ["    {0},"]
        lines.append("};")
        stages.append(
            "    "
            + _fields(
                ops=f"ops_{n}",
                rows=stage.grid[0],
                cols=stage.grid[1],
                n_ops=len(stage.ops),
                first=stage.first,
                last=stage.last,
                shared_bytes=stage.shared_bytes,
                thread_bytes=stage.thread_bytes,
                shared=_at(program, stage.scratch) if stage.scratch >= 0 else "NULL",
            )
            + ","
        )
    macs = sum(op.macs for stage in program.stages for op in stage.ops)
    return "\n".join([*lines, "static df_stage stages[] = {", *stages, "};", MAIN % (program.threads, macs)])


def build(
    program: Program,
    settings: dict[str, Any],
    target: str,
    compiler: list[str],
    folder: Path,
    root: Path = ROOT,
    isas: tuple[str, ...] = (),
) -> Path:
    """The program for a target of `ISAS` in setup.py, of all instruction sets or those named; its path.

    Raises `subprocess.CalledProcessError`, `Unsupported`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kernels, engine = root / "darkfuse" / "kernels", ROOT / "darkfuse" / "engine"
    text = folder / "frame.c"
    text.write_text(source(program))
    flags = [*settings["COMMON"], "-w", f"-I{kernels}", f"-I{engine}"]
    chosen = {isa: f for isa, f in settings["ISAS"][target].items() if not isas or isa in isas}
    jobs: list[tuple[Path, str, list[str]]] = [(text, "frame", ["-fopenmp"])]
    jobs += [
        (path, f"engine-{path.stem}", ["-fopenmp"])
        for path in sorted(engine.glob("*.c"))
        if not path.name.startswith("_")
    ]
    for path in sorted(kernels.glob("*.c")):
        if path.name.startswith("_"):
            continue
        if path.name in settings["PLAIN"]:
            jobs.append((path, path.stem, [f"-DDF_HAVE_{isa.upper()}=1" for isa in chosen]))
            continue
        extra = settings["EXTRA"].get(path.name, {})
        jobs += [
            (
                path,
                f"{isa}-{path.stem}",
                [*f, *extra.get(isa, []), f"-DDF_ISA={isa}", f"-DDF_ISA_{isa.upper()}=1"],
            )
            for isa, f in chosen.items()
        ]

    def compiled(job: tuple[Path, str, list[str]]) -> str:
        path, name, more = job
        made = folder / f"{name}.o"
        subprocess.run([*compiler, *flags, *more, "-c", str(path), "-o", str(made)], check=True)
        return str(made)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, jobs))
    program_path = folder / "frame"
    subprocess.run(
        [*compiler, *objects, "-static", "-fopenmp", "-lpthread", "-lm", "-o", str(program_path)], check=True
    )
    return program_path
