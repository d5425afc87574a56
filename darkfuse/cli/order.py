"""Options and files in any order; argparse refuses files that stand apart, as in `x.cfg --no-draw a.jpg`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

_COUNTS = {None: 1, "?": 1, "*": 1 << 30, "+": 1 << 30}


def options_first(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """A verb's words with its options first, each with its values, and the files after them.

    An option the parser does not know stays among the options, for the parser to name; everything after `--`
    is a file.
    """
    options: list[str] = []
    files: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*options, "--", *files, *rest]
        if not word.startswith("-") or word == "-":
            files.append(word)
        else:
            options.append(word)
            wanted = 0 if "=" in word else _values(parser, word)
            while wanted and rest and (rest[0] == "-" or not rest[0].startswith("-") or _number(rest[0])):
                options.append(rest.pop(0))
                wanted -= 1
    return [*options, *files]


def _values(parser: argparse.ArgumentParser, option: str) -> int:
    """How many words an option may take."""
    action = parser._option_string_actions.get(option)
    if action is None:
        return 0
    return action.nargs if isinstance(action.nargs, int) else _COUNTS[action.nargs]


def _number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
