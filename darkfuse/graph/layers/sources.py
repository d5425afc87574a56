"""`from=`: the earlier layer that a section reads beside the one before it."""

from __future__ import annotations

from darkfuse.model.cfg import Section


def absolute(section: Section, index: int) -> int:
    """The layer `from` names, counted from 0; raises `CfgError` when it is none of 0..index-1."""
    return absolutes(section, index)[0]


def absolutes(section: Section, index: int) -> tuple[int, ...]:
    """All layers `from` names, counted from 0. Negative numbers count back from layer `index`."""
    written = section.integers("from")
    found = tuple(number if number >= 0 else index + number for number in written)
    for number, source in zip(written, found):
        if not 0 <= source < index:
            section.fail(f"{section.kind} from nowhere: from={number} in layer {index} means layer {source}",
                         "from")
    return found
