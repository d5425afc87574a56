"""Graph and memory budget to Plan, Plan to Program. Nothing here computes a layer.

::

    graph ─▶ search ─▶ Plan ─▶ layout ─▶ Program ─▶ engine
               ▲        │         │
             price ◀────┴─────────┘        show: plans as text, table, picture

A `Plan` (`types`) says how: groups of layers, grids, cache modes, kernels, residency. A `Program` (`program`)
says where: every buffer, tensor and tile region, to the byte. `check` proves a program by walking it. The
four wings tell their own stories: `layout`, `price`, `search`, `show`.

All is Python but for loops that run a hundred thousand times in a search, in Cython (`_*.pyx`), each beside
the module that calls it: regions (`layout/_region`), placing blocks (`_arrange`) and landings (`_ahead`);
a convolution over a grid (`price/_grid`) and waiting for storage (`_storage`); tiled groups in closed form
(`search/_tiled`, on the network as `_network` has it), their offers (`_ways`) and labels (`_paths`).
"""
