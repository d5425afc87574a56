"""Word trees (`9k.tree` of YOLO9000): classes that are kinds of other classes.

One class a line: its name, and the line (from 0) of the class it is a kind of, -1 for the topmost. Siblings
stand together.
"""

from __future__ import annotations

import os
from functools import lru_cache

from darkfuse.errors import CfgError
from darkfuse.host.record import dataclass
from darkfuse.model.names import read_lines


@dataclass(frozen=True)
class Tree:
    """A word tree.

    Attributes
    ----------
    names : tuple of str
    parents : tuple of int
        Of each class, -1 for the topmost.
    groups : tuple of (int, int)
        First class and number of classes of each set of siblings, in the order of the file.
    children : tuple of int
        Of each class, the group of its children, -1 where it has none.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    groups: tuple[tuple[int, int], ...]
    children: tuple[int, ...]


@lru_cache(maxsize=4)
def read_tree(path: str) -> Tree:
    """Read a word tree.

    Raises
    ------
    CfgError
        The file cannot be read, or a line names no class before it as its parent.
    """
    names: list[str] = []
    parents: list[int] = []
    for number, line in enumerate(read_lines(path, "word tree"), 1):
        if not line.strip():
            continue
        name, _, word = line.strip().rpartition(" ")
        try:
            parent = int(word)
        except ValueError:
            raise CfgError(path, number, "expected a name and the number of its parent") from None
        if not name or not -1 <= parent < len(names):
            raise CfgError(path, number, f"parent {parent} is no line before this one")
        names.append(name.strip())
        parents.append(parent)
    if not names:
        raise CfgError(path, 0, "the word tree is empty")
    groups: list[tuple[int, int]] = []
    children = [-1] * len(names)
    for place, parent in enumerate(parents):
        if not place or parent != parents[place - 1]:
            groups.append((place, 0))
        groups[-1] = (groups[-1][0], groups[-1][1] + 1)
        if parent >= 0:
            children[parent] = len(groups) - 1
    return Tree(tuple(names), tuple(parents), tuple(groups), tuple(children))


def read_words(path: str | None) -> tuple[int, ...]:
    """Read a `map=` file (`coco9k.map`): the word of each class, as its line in the tree, from 0.

    Without a file, None, there are none.

    Raises
    ------
    CfgError
        The file cannot be read, or a line is no number.
    """
    words: list[int] = []
    if path is None:
        return ()
    for number, line in enumerate(read_lines(path, "map of classes"), 1):
        if line.strip():
            if not line.strip().isdecimal() or len(line.strip()) > 6:
                raise CfgError(path, number, "expected the number of a word")
            words.append(int(line))
    return tuple(words)


def find_beside(name: str, cfg: str) -> str:
    """A file that a cfg names: as written, as Darknet opens it, else beside the cfg or one folder up.

    Raises `CfgError` when there is none.
    """
    folder = os.path.dirname(cfg)
    for path in (name, os.path.join(folder, name), os.path.join(folder, "..", name),
                 os.path.join(folder, os.path.basename(name))):
        if os.path.isfile(path):
            return path
    raise CfgError(cfg, 0, f"needs the file {name}, which is neither there nor beside the cfg")
