"""Plan to Program: where every byte lies and in which order it is used.

::

    validate ─▶ wire              ─▶ windows    ─▶ reserve ─▶ place           ─▶ emit ─▶ land_reads
                (wiring, inplace)    (region)      (weights)  (overlap, arena)           (reads, _ahead)
    the plan    operations, steps,   how much of   buffers    offsets, and       what    where reads of
    fits the    sums that lie in     each map                 whose bytes lie    runs    weights land
    graph       an operand's bytes   is stored                over others'

`draft` is what the passes fill in, `order` gives the search orders of layers that hold less, and `still`
works out what of each map changes with a part of the picture.
Start reading at `lower.lower`.
"""
