"""The table of layers in docs/models.md says what the code does today."""

from __future__ import annotations

from darkfuse.graph.registry import LAYERS
from tools.models_table import CHECKED, keys_of, main


def test_the_table_is_current() -> None:
    assert main(["--check"]) == 0, "run tools/models_table.py"


def test_every_section_says_what_it_was_checked_against() -> None:
    assert set(CHECKED) == {options.kind for options in LAYERS.values()}


def test_options_are_those_the_readers_ask_for() -> None:
    read, refused = keys_of("convolutional")
    assert {"filters", "stride_x", "share_index", "dilation"} <= set(read) and "antialiasing" in refused
