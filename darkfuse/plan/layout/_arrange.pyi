def arrange(members: list[tuple[int, int, int, int, int]], count: int, tries: int,
            goal: int) -> tuple[list[int], int]:
    """Places of `count` chains of blocks, and the highest end.

    Chains get their turn in several orders. Each goes into the smallest gap that holds it, or else on top of
    what it meets; the best order is improved by moving single chains, some of which go into the lowest gap.

    Parameters
    ----------
    members : list of (first, last, chain, at, size)
        Blocks of the chains: steps they are alive from and to, which chain, bytes behind its beginning.
    tries : int
        Moves, at most.
    goal : int
        An end that is good enough.
    """
