"""Amounts of memory as people write them: `48M` on a command line, `47.6M` in a message."""

from __future__ import annotations

import re

from darkfuse.errors import DarkfuseError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_AMOUNT = re.compile(r"\s*(\d*)(?:\.(\d*))?\s*(?:([KMGT])(?:I?B)?|B)?\s*", re.ASCII | re.IGNORECASE)
_LARGEST = (1 << 63) - 1  # what a memory cgroup and a signed 64-bit file offset can hold


def parse_bytes(text: str) -> int:
    """Read an amount of memory.

    K, M, G and T are powers of 1024, as they are for memory cgroups; `48M`, `48MB` and `48MiB` are the same.
    Case does not matter. Fractions are cut down to whole bytes.

    Parameters
    ----------
    text : str
        For example `48M`, `0.5G`, `512 KiB` or `50331648`.

    Returns
    -------
    int
        Bytes, at least 1 and below 2**63.

    Raises
    ------
    DarkfuseError
        When the text is no amount, or names none or more than any machine could have.
    """
    shown = text if len(text) <= 40 else text[:37] + "..."
    match = _AMOUNT.fullmatch(text) if len(text) <= 64 else None
    whole, fraction, unit = match.groups() if match else ("", "", "")
    if match is None or not (whole or fraction):
        raise DarkfuseError(f"{shown!r} is not an amount of memory; write it like 48M, 0.5G or 50331648")
    fraction = fraction or ""
    size: int = int(whole + fraction) * _UNITS[(unit or "").upper()] // 10 ** len(fraction)
    if size < 1:
        raise DarkfuseError(f"{shown!r} is no memory at all; give at least one byte, like 48M or 0.5G")
    if size > _LARGEST:
        raise DarkfuseError(
            f"{shown!r} is more memory than can be addressed; write it like 48M, 0.5G or 50331648"
        )
    return size


def parse_rate(text: str | int | None) -> int | None:
    """Read bytes a second, `22M` or `22M/s` or a number; None stays None. Raises DarkfuseError."""
    if text is None:
        return None
    if isinstance(text, int):
        text = str(text)
    return parse_bytes(text[:-2] if text.lower().endswith("/s") else text)


def format_bytes(size: int) -> str:
    """Write an amount of memory so that :func:`parse_bytes` reads it back.

    Rounded up to a tenth of its unit: an amount copied from "needs at least ..." into `--mem` is enough,
    and a peak is never reported smaller than it was.

    Parameters
    ----------
    size : int
        Bytes, zero or more.

    Returns
    -------
    str
        For example `48M`, `47.6M`, `1.2G` or `512B`.
    """
    if size < 0:
        raise ValueError(f"a size cannot be negative: {size}")
    for unit in ("K", "M", "G", "T"):
        tenths = -(-size * 10 // _UNITS[unit])
        # one more rounding up could turn 1023.95K into 1024K: that is 1M
        if size >= _UNITS["K"] and (tenths < 10240 or unit == "T"):
            return f"{tenths // 10}.{tenths % 10}{unit}" if tenths % 10 else f"{tenths // 10}{unit}"
    return f"{size}B"
