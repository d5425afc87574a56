"""Graph and memory budget to Plan, Plan to Program. Pure Python: nothing here computes a layer.

::

    graph ─▶ search ─▶ Plan ─▶ layout ─▶ Program ─▶ engine
               ▲        │         │
             price ◀────┴─────────┘        show: plans as text, table, picture

A `Plan` (`types`) says how: groups of layers, grids, cache modes, kernels, residency. A `Program` (`program`)
says where: every buffer, tensor and tile region, to the byte. `check` proves a program by walking it. The
four wings tell their own stories: `layout`, `price`, `search`, `show`.
"""
