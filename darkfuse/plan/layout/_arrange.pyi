from collections.abc import Iterable

def arrange(members: list[tuple[int, int, int, int, int]], count: int, orders: Iterable[list[int]],
            tries: int, goal: int) -> tuple[list[int], int]:
    """Places of `count` chains of blocks, and the highest end.

    Parameters
    ----------
    members : list of (first, last, chain, at, size)
        Blocks of the chains: steps they are alive from and to, which chain, bytes behind its beginning.
    orders : iterable of list of int
        Orders in which chains may get their turn. Each goes into the smallest gap that holds it, or else on
        top of what it meets; the best order is improved by moving single chains.
    tries : int
        Moves, at most.
    goal : int
        An end that is good enough.
    """
