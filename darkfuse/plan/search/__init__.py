"""Graph and budget to Plan: the fastest there is within the bytes.

::

    pieces ─▶ candidates (prices, tiled, option) ─▶ cuts ─▶ search ─▶ spend
    layers    ways to run each span          where    the      what is left
    and maps  of layers, priced              to cut   answer   buys less waiting

Python asks and decides; `_tiled` (with `_network`, `_reach`), `_ways` and `_paths` (with `_labels`) are the
loops, in Cython. `batch` asks for several pictures at a time, and takes as many as is fastest. `simple` makes
plans by rule of thumb, `still` those of still cameras, which keep every map; `mafat` is the search of the
paper, for comparison. Start reading at `search.plan_for`.
"""
