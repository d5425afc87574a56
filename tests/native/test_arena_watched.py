"""Under the address sanitizer, the bytes between the buffers of a guarded engine are nobody's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WATCHED = "libasan" in Path("/proc/self/maps").read_text()
STRAY = """
import ctypes, sys
from pathlib import Path
from small import SMALL, made, noise, program_of
from darkfuse.engine._engine import Engine
import numpy as np
graph, weights = made(SMALL, Path(sys.argv[1]))
engine = Engine(program_of(graph, weights), weights, 1, guard=True)
engine.run_chw(noise(graph))
found = engine.output(graph.outputs[0])
start = np.asarray(found).ctypes.data
print("read", ctypes.string_at(start, 4)[:0], flush=True)
ctypes.string_at(start + np.asarray(found).nbytes, 8)
"""


@pytest.mark.skipif(not WATCHED, reason="not under the address sanitizer: tools/sanitize.py runs it so")
def test_a_stray_read_is_reported(tmp_path: Path) -> None:
    """So that silence of the other tests there means something."""
    path = os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])
    done = subprocess.run([sys.executable, "-c", STRAY, str(tmp_path)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": path})
    assert "read" in done.stdout and "use-after-poison" in done.stderr
