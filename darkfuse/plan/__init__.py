"""Graph + memory budget to plan: tile regions, arena, cost model, search, annotations. Pure Python."""
