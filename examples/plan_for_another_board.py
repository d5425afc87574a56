"""Plan a network for a board that is not here, and write the plan into a cfg to copy there.

    python examples/plan_for_another_board.py OUT.cfg [BOARD] [BUDGET]

Boards are built-in profiles (rpi3, rpi4, rpi5, jetson-nano) or files that `darkfuse calibrate` wrote there.
"""

from __future__ import annotations

import sys

from darkfuse.graph import load_graph
from darkfuse.host.units import format_bytes
from darkfuse.plan.price.device import load_device
from darkfuse.plan.show.annotate import annotate
from darkfuse.session.whatif import Planner

given = dict(enumerate(sys.argv))
out, board, budget = given.get(1, "planned.cfg"), given.get(2, "rpi4"), given.get(3, "64M")

graph = load_graph("cfg/yolov3-tiny.cfg")
planner = Planner(graph, load_device(board), threads=4)
for mem in (budget, "resident"):
    plan = planner.fastest(mem).plan
    peak = format_bytes(plan.predicted_peak_bytes)
    print(f"{mem:>9}: {plan.predicted_ms:.0f} ms a frame, {peak} at its peak")
print("smallest:", format_bytes(planner.smallest().plan.predicted_peak_bytes))

with open(out, "w") as file:
    file.write(annotate(graph.cfg, planner.fastest(budget).plan))
print(f"{out}: other programs still read it; darkfuse runs its plan")
