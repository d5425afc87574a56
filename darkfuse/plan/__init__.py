"""Graph + memory budget to plan, plan to program. Pure Python: nothing here computes a layer.

::

    graph ─▶ search ─▶ Plan ─▶ lower ─▶ Program ─▶ engine
             notation ─▶ │       │
             simple ───▶ │       ├─ wiring    which layers compute, whose bytes are whose (inplace: additions)
                                 ├─ windows   how much of each map is stored (region: the tile arithmetic)
                                 ├─ weights   where weights lie in the file and in the arena
                                 ├─ overlap   outputs over the dead rows of inputs
                                 └─ arena     lifetimes to offsets

A `Plan` (`types`) says how: groups of layers, grids, cache modes, kernels, residency. A `Program` (`program`)
says where: every buffer, tensor and tile region, to the byte. `check` proves a program by walking it.
"""
