"""What a mistyped word, or the name of a file that is not there, may have meant."""

from __future__ import annotations

import os
from collections.abc import Iterable

NEAR = 0.7  # of difflib's ratio: seven letters of ten


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """'; did you mean detect?', or nothing where no known word is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), 1, NEAR)
    return f"; did you mean {near[0]}?" if near else ""


def near_file(path: str, more: Iterable[str] = ()) -> str:
    """The same for a file: one beside where it would be, with its ending if any has it, or one of `more`."""
    folder, name = os.path.split(path)
    try:
        there = os.listdir(folder or ".")
    except OSError:
        there = []
    ending = os.path.splitext(name)[1]
    alike = [file for file in there if ending and file.endswith(ending)]
    return did_you_mean(name, alike) or did_you_mean(name, more) or did_you_mean(name, there)
