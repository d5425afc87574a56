"""The `.cfg` file: sections of `key=value` lines, every one with its line number.

Darknet's rules (its `read_cfg` and `option_find`): `[kind]` opens a section, spaces and tabs mean nothing,
`#` and `;` start comments, of a key given twice the first counts, and a key nobody asks for does no harm.
Where Darknet would quietly read a word as 0, this reader refuses and names the file and line.
"""

from __future__ import annotations

import math
from typing import NoReturn

from darkfuse.errors import CfgError
from darkfuse.host.record import dataclass

# A cfg is a page or two of text; anything longer is some other file handed over by mistake.
MAX_BYTES = 8 << 20
# Largest whole number a key may hold when its reader names no tighter bound: Darknet keeps them in C ints.
MAX_INT = 2**31 - 1


@dataclass(frozen=True)
class Entry:
    """One `key=value` line; `line` is 1-based."""

    key: str
    value: str
    line: int


@dataclass(frozen=True)
class Section:
    """One `[kind]` section: its header line and its entries in file order.

    The readers below raise `CfgError` at the line of the key, or of the header when the key is missing.
    """

    path: str
    kind: str
    line: int
    entries: tuple[Entry, ...]

    def find(self, key: str) -> Entry | None:
        """Return the entry that counts for `key` (the first one, as in Darknet), or None."""
        for entry in self.entries:
            if entry.key == key:
                return entry
        return None

    def fail(self, msg: str, key: str | None = None) -> NoReturn:
        """Raise `CfgError` at the line of `key` when it is present, else at the section's header."""
        entry = self.find(key) if key else None
        raise CfgError(self.path, entry.line if entry else self.line, msg)

    def text(self, key: str, default: str | None = None) -> str:
        """Value of `key` without surrounding spaces; required when `default` is None."""
        entry = self.find(key)
        if entry is not None:
            return entry.value
        if default is None:
            self.fail(f"[{self.kind}] needs a {key}= line")
        return default

    def integer(self, key: str, default: int | None = None, lo: int = 0, hi: int = MAX_INT) -> int:
        """Whole number of `key` within `lo`..`hi`; required when `default` is None."""
        if default is not None and self.find(key) is None:
            return default
        return self._integer(key, self.text(key), lo, hi)

    def integers(self, key: str, default: tuple[int, ...] | None = None,
                 lo: int = -MAX_INT, hi: int = MAX_INT) -> tuple[int, ...]:
        """Comma-separated whole numbers of `key`, each within `lo`..`hi`."""
        if default is not None and self.find(key) is None:
            return default
        return tuple(self._integer(key, word, lo, hi) for word in self._words(key))

    def number(self, key: str, default: float | None = None, lo: float = -1e30, hi: float = 1e30) -> float:
        """Finite real number of `key` within `lo`..`hi`; required when `default` is None."""
        if default is not None and self.find(key) is None:
            return default
        return self._number(key, self.text(key), lo, hi)

    def numbers(self, key: str, lo: float = -1e30, hi: float = 1e30) -> tuple[float, ...]:
        """Comma-separated real numbers of `key`, each within `lo`..`hi`; spaces within one mean nothing."""
        return tuple(self._number(key, "".join(word.split()), lo, hi) for word in self._words(key))

    def refuse(self, *keys: str) -> None:
        """Raise for any of `keys` that is present and switched on: it would change the result.

        Such keys belong to Darknet branches or modes darkfuse does not run; ignoring one would give wrong
        boxes without a word.
        """
        for key in keys:
            entry = self.find(key)
            if entry is not None and entry.value not in ("", "0", "none", "no"):
                self.fail(f"{key}={entry.value} in [{self.kind}] is not supported", key)

    def _words(self, key: str) -> list[str]:
        words = [word.strip() for word in self.text(key).split(",")]
        # A trailing comma is common in hand-edited anchor lists, and Darknet passes over it.
        if len(words) > 1 and not words[-1]:
            words.pop()
        return words

    def _integer(self, key: str, word: str, lo: int, hi: int) -> int:
        digits = word[1:] if word[:1] in ("-", "+") else word
        if not (digits.isascii() and digits.isdigit()):
            self.fail(f"{key}={word} in [{self.kind}] is not a whole number", key)
        if len(digits) > 12 or not lo <= int(word) <= hi:
            self.fail(f"{key}={word} in [{self.kind}] is outside {lo}..{hi}", key)
        return int(word)

    def _number(self, key: str, word: str, lo: float, hi: float) -> float:
        try:
            value = float(word) if "_" not in word else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.fail(f"{key}={word} in [{self.kind}] is not a number", key)
        if not lo <= value <= hi:
            self.fail(f"{key}={word} in [{self.kind}] is outside {lo:g}..{hi:g}", key)
        return value


@dataclass(frozen=True)
class Cfg:
    """A parsed `.cfg`.

    Attributes
    ----------
    path : str
        The file as the caller named it.
    lines : tuple of str
        The raw lines with their line ends: `"".join(lines)` is the file's text, so a tool can add
        annotations and leave every other byte alone. `lines[n - 1]` is line n.
    net : Section
        The opening `[net]` section.
    layers : tuple of Section
        The sections after it; position is Darknet's layer index.
    """

    path: str
    lines: tuple[str, ...]
    net: Section
    layers: tuple[Section, ...]


def read_cfg(path: str) -> Cfg:
    """Read and parse a `.cfg` file.

    Raises
    ------
    CfgError
        The file cannot be read, is not text, or breaks the rules of the format.
    """
    path = str(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CfgError(path, 0, f"cannot read the cfg: {error.strerror or error}") from None
    if len(data) > MAX_BYTES or b"\0" in data:
        raise CfgError(path, 0, "not a cfg: this is not a text file of sections and key=value lines")
    # surrogateescape: comments in any encoding survive being written back unchanged.
    return parse_cfg(data.decode("utf-8", "surrogateescape"), path)


def parse_cfg(text: str, path: str = "<cfg>") -> Cfg:
    """Parse the text of a `.cfg`; `path` is only used in messages. Raises `CfgError`."""
    lines = tuple(line + "\n" for line in text.split("\n"))
    lines = lines[:-1] + ((lines[-1][:-1],) if lines[-1] != "\n" else ())
    sections: list[Section] = []
    entries: list[Entry] = []
    for number, raw in enumerate(lines, 1):
        line = raw.lstrip("\ufeff").split("#", 1)[0].split(";", 1)[0].strip()
        if not line:
            continue
        if line[0] == "[":
            if line[-1] != "]":
                raise CfgError(path, number, f"section header {_quote(line)} has no closing bracket")
            _close(sections, entries)
            sections.append(Section(path, line[1:-1].strip(), number, ()))
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise CfgError(path, number, f"expected [section] or key=value, found {_quote(line)}")
        if not sections:
            raise CfgError(path, number, f"{_quote(key.strip())} comes before any [section]")
        entries.append(Entry(key.strip(), value.strip(), number))
    _close(sections, entries)
    if not sections:
        raise CfgError(path, 0, "the cfg has no sections")
    if sections[0].kind not in ("net", "network"):
        raise CfgError(path, sections[0].line, f"the first section must be [net], not [{sections[0].kind}]")
    for section in sections[1:]:
        if section.kind in ("net", "network"):
            raise CfgError(path, section.line, f"a second [{section.kind}] section")
    if len(sections) == 1:
        raise CfgError(path, sections[0].line, "the cfg has no layers after [net]")
    return Cfg(path, lines, sections[0], tuple(sections[1:]))


def _close(sections: list[Section], entries: list[Entry]) -> None:
    """Give the entries gathered so far to the section that is ending."""
    if sections:
        last = sections[-1]
        sections[-1] = Section(last.path, last.kind, last.line, tuple(entries))
    entries.clear()


def _quote(text: str) -> str:
    """Show a piece of the file inside a one-line message, whatever bytes it holds."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")
