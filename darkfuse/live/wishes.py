"""What a live run is asked to do, and how it speaks to the person who asked."""

from __future__ import annotations

import sys
from typing import Any

from darkfuse.host.record import dataclass, field


@dataclass(frozen=True)
class Wishes:
    """What a person asked for; `loading` and `answers` are more keywords of `load` and `Network.detect`,
    `http` and `json_port` are (host, port), `json_lines` a path or `-`, `prefix` begins the names of
    pictures, one a frame; `fps_limit` is 0 for none; `printed` is what is said of each frame: '', 'boxes' or
    'corners', where they are too; `still` the levels of noise of a camera that does not move."""

    source: int | str
    cfg: str | None = None
    weights: str | None = None
    names: str | None = None
    threads: int | None = None
    mem: str | None = None
    exact: bool = False
    loading: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    realtime: bool = False
    out: str | None = None
    json_lines: str | None = None
    http: tuple[str, int] | None = None
    mqtt: str | None = None
    json_port: tuple[str, int] | None = None
    prefix: str | None = None
    window: bool = True
    fps_limit: float = 0.0
    frames: int | None = None
    printed: str = ""
    still: int | None = None


def say(line: str) -> None:
    """One line to the person, on standard error."""
    sys.stderr.write(f"darkfuse: {line}\n")
    sys.stderr.flush()
