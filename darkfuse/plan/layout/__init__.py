"""Plan to Program: where every byte lies and in which order it is used.

::

    wiring ─▶ order ─▶ windows (region) ─▶ weights (reads) ─▶ inplace, overlap ─▶ arena ─▶ ahead ─▶ lower
    which     layers   how much of each    where weights      whose bytes may    offsets  reads    the
    layers             map is stored       lie                be written over             ahead    program

Start reading at `lower.lower`.
"""
