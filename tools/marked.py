"""The part of a document between two marks, which a script writes: the command line of such scripts."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path


def rewrite(argv: Sequence[str] | None, what: str, document: Path, begin: str, end: str,
            table: Callable[[], str]) -> int:
    """Write `table()` between the marks `begin` and `end` of a document; with --check only compare.

    `what` describes the script. Returns its exit status: 1 where --check finds the document out of date.
    """
    parser = argparse.ArgumentParser(description=what.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, only say whether it is current")
    options = parser.parse_args(argv)
    text = document.read_text(encoding="utf-8")
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        parser.error(f"{document} has not the two marks")
    wanted = before + begin + table() + end + after
    if options.check:
        return int(text != wanted)
    document.write_text(wanted, encoding="utf-8")
    return 0
