#!/usr/bin/env python3
"""Lines of code a folder, at two revisions: blank lines, comments and docstrings do not count.

    count_code.py BEFORE [AFTER] [--under FOLDER]

Counts Python, Cython and C under FOLDER (default: darkfuse) as they stand in git at BEFORE and AFTER
(default: HEAD), for each folder right below it. A file that git sees as moved into another folder is named
below the table with its lines: it left its folder, but not the program.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = {".py": "Python", ".pyx": "Cython", ".pxd": "Cython", ".pxi": "Cython", ".c": "C", ".h": "C"}
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
# A comment of C, or text in quotes that may look like one
C_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def python_lines(text: str) -> int:
    """Lines that hold any part of a statement, but for statements that are a string and nothing else."""
    lines: set[int] = set()
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if any(part.type != tokenize.STRING for part in statement):
                for part in statement:
                    lines.update(range(part.start[0], part.end[0] + 1))
            statement = []
        elif token.type not in SILENT:
            statement.append(token)
    return len(lines)


def c_lines(text: str) -> int:
    """Lines that hold anything but comments."""
    def bare(match: re.Match[str]) -> str:
        return match[0] if match[0][0] in "\"'" else " " + "\n" * match[0].count("\n")

    return sum(1 for line in C_COMMENT.sub(bare, text).splitlines() if line.strip())


def code_lines(name: str, text: str) -> int:
    """Lines of code of a file of one of `LANGUAGES`."""
    return c_lines(text) if LANGUAGES[Path(name).suffix] == "C" else python_lines(text)


def git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True).stdout


def counted(revision: str, under: str) -> dict[str, int]:
    """Lines of code of each file below a folder, as of a revision."""
    names = git("ls-tree", "-r", "--name-only", revision, "--", under).splitlines()
    return {name: code_lines(name, git("show", f"{revision}:{name}"))
            for name in names if Path(name).suffix in LANGUAGES}


def moved(before: str, after: str) -> dict[str, str]:
    """Files of the later revision, and what they were called in the earlier."""
    pairs = {}
    for line in git("diff", "-M40%", "-l0", "--diff-filter=R", "--name-status", before, after).splitlines():
        _, old, new = line.split("\t")
        pairs[new] = old
    return pairs


def folder_of(name: str, under: str) -> str:
    """The folder right below `under` that a file is in."""
    parts = Path(name).relative_to(under).parts if name.startswith(under + "/") else Path(name).parts
    return parts[0] if len(parts) > 1 else "."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after", nargs="?", default="HEAD")
    parser.add_argument("--under", default="darkfuse", metavar="FOLDER")
    args = parser.parse_args()
    under = args.under.rstrip("/")
    sides = [counted(revision, under) for revision in (args.before, args.after)]
    sums: list[Counter[tuple[str, str]]] = [Counter(), Counter()]
    for total, files in zip(sums, sides):
        for name, lines in files.items():
            total[folder_of(name, under), LANGUAGES[Path(name).suffix]] += lines
    print(f"{'folder':12} {'language':8} {'before':>7} {'after':>7}")
    for key in sorted({*sums[0], *sums[1]}):
        print(f"{key[0]:12} {key[1]:8} {sums[0][key]:7} {sums[1][key]:7}")
    print(f"{'all':12} {'':8} {sum(sums[0].values()):7} {sum(sums[1].values()):7}")
    print("\nmoved into another folder (lines before, after):")
    for new, old in sorted(moved(args.before, args.after).items()):
        here, there = folder_of(old, under), folder_of(new, under)
        if old in sides[0] and new.endswith(tuple(LANGUAGES)) and here != there:
            lines = sides[1].get(new) or code_lines(new, git("show", f"{args.after}:{new}"))
            print(f"  {old} -> {new}: {sides[0][old]}, {lines}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
