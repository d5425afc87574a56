"""Figures of the service as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

import threading
from typing import Any

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
MOST_LABELS = 64  # of a kind: classes beyond are counted together
KIND = "text/plain; version=0.0.4; charset=utf-8"
STAGES = ("fetch", "queue", "picture", "network", "total")


class Metrics:
    """Counters; any thread may add to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, int], int] = {}
        self._classes: dict[str, int] = {}
        self._stages = {stage: [0] * (len(BUCKETS) + 1) for stage in STAGES}
        self._sums = dict.fromkeys(STAGES, 0.0)
        self.frames = self.bytes_read = 0

    def request(self, path: str, status: int) -> None:
        """Count a request answered."""
        with self._lock:
            key = (path, status)
            self._requests[key] = self._requests.get(key, 0) + 1

    def frame(self, names: list[str], bytes_read: int) -> None:
        """Count a picture looked at, the classes found in it, and the weights read for it."""
        with self._lock:
            self.frames += 1
            self.bytes_read += bytes_read
            for name in names:
                if name not in self._classes and len(self._classes) >= MOST_LABELS:
                    name = "others"
                self._classes[name] = self._classes.get(name, 0) + 1

    def took(self, seconds: dict[str, float]) -> None:
        """Count what the stages of a request took."""
        with self._lock:
            for stage, value in seconds.items():
                counts = self._stages[stage]
                counts[next((at for at, most in enumerate(BUCKETS) if value <= most), len(BUCKETS))] += 1
                self._sums[stage] += value

    def text(self, gauges: dict[str, tuple[str, Any]]) -> bytes:
        """All of it; `gauges` are (help, value, or values by label) of what holds now, by name."""
        with self._lock:
            lines = _head("requests_total", "counter", "Requests answered.")
            lines += [_line("requests_total", count, path=path, status=str(status))
                      for (path, status), count in sorted(self._requests.items())]
            lines += _head("frames_total", "counter", "Pictures looked at.")
            lines += [_line("frames_total", self.frames)]
            lines += _head("weights_read_bytes_total", "counter", "Bytes of weights read from storage.")
            lines += [_line("weights_read_bytes_total", self.bytes_read)]
            lines += _head("detections_total", "counter", "Objects found.")
            lines += [_line("detections_total", count, **{"class": name})
                      for name, count in sorted(self._classes.items())]
            lines += _head("stage_seconds", "histogram", "Time the stages of a request took.")
            for stage, counts in self._stages.items():
                total = 0
                for most, count in zip((*map(str, BUCKETS), "+Inf"), counts):
                    total += count
                    lines.append(_line("stage_seconds_bucket", total, stage=stage, le=most))
                lines += [_line("stage_seconds_sum", self._sums[stage], stage=stage),
                          _line("stage_seconds_count", total, stage=stage)]
        for name, (words, value) in gauges.items():
            lines += _head(name, "gauge", words)
            values = value if isinstance(value, dict) else {"": value}
            lines += [_line(name, one, **({"kind": kind} if kind else {})) for kind, one in values.items()
                      if one is not None]
        return ("\n".join(lines) + "\n").encode()


def _head(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP darkfuse_{name} {words}", f"# TYPE darkfuse_{name} {kind}"]


def _line(name: str, value: float, **labels: str) -> str:
    said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"darkfuse_{name}{'{' + said + '}' if said else ''} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
