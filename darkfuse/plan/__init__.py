"""Graph and memory budget to Plan, Plan to Program. Nothing here computes a layer.

::

    graph ─▶ search ─▶ Plan ─▶ layout ─▶ Program ─▶ engine
               ▲        │         │
             price ◀────┴─────────┘        show: plans as text, table, picture

A `Plan` (`types`) says how: groups of layers, grids, cache modes, kernels, residency. A `Program` (`program`)
says where: every buffer, tensor and tile region, to the byte. `check` proves a program by walking it. The
four wings tell their own stories: `layout`, `price`, `search`, `show`.

All is Python but for four loops that run a hundred thousand times in a search, each in Cython beside the
module that calls it: a convolution over a grid (`price/_grid`), tiled groups in closed form
(`search/_tiled`), labels (`search/_paths`), and placing blocks (`layout/_arrange`).
"""
