"""The figures in docs/reliability.md are those of tests/counts.json."""

from __future__ import annotations

from tools.reliability_table import main


def test_the_table_is_current() -> None:
    assert main(["--check"]) == 0, "run tools/reliability_table.py"
