"""Amounts of memory: read as cgroups read them, written so that they can be used again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkfuse.errors import DarkfuseError
from darkfuse.host.units import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("48M", 50331648),
        ("48MiB", 50331648),
        ("48MB", 50331648),
        ("48mib", 50331648),
        ("50331648", 50331648),
        ("50331648B", 50331648),
        ("0.5G", 1 << 29),
        (".5G", 1 << 29),
        ("512 KiB", 1 << 19),
        (" 1.5k ", 1536),
        ("1T", 1 << 40),
        ("0.3M", 314572),
        ("9223372036854775807", (1 << 63) - 1),
    ],
)
def test_parse(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "M",
        ".",
        ".M",
        "lots",
        "48X",
        "48MM",
        "48iB8",
        "48iB",
        "4 8M",
        "1e6",
        "nan",
        "-48M",
        "+48M",
        "1,5M",
        "٤٨M",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(DarkfuseError, match="not an amount of memory"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["0", "0M", "0.0", "0.0000001K"])
def test_nothing_is_refused(text: str) -> None:
    with pytest.raises(DarkfuseError, match="no memory at all"):
        parse_bytes(text)


def test_overflow_is_refused() -> None:
    with pytest.raises(DarkfuseError, match="more memory than"):
        parse_bytes("9223372036854775808")
    with pytest.raises(DarkfuseError, match="more memory than"):
        parse_bytes("99999999999T")


def test_message_stays_one_short_line() -> None:
    for text in ("9" * 100_000, "48M\n48M", "x" * 1000):
        with pytest.raises(DarkfuseError) as caught:
            parse_bytes(text)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 140


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1K"),
        (50331648, "48M"),
        (50331649, "48.1M"),
        (1048575, "1M"),
        (1 << 30, "1G"),
        (5 << 50, "5120T"),
    ],
)
def test_format(size: int, text: str) -> None:
    assert format_bytes(size) == text


def test_format_refuses_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        format_bytes(-1)


@given(st.integers(1, 1 << 52))
def test_what_is_written_is_enough_when_read_back(size: int) -> None:
    again = parse_bytes(format_bytes(size))
    assert size <= again
    assert again - size <= max(size // 10, 103)  # a tenth of the unit at most
