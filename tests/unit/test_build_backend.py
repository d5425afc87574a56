"""The build backend's choice of a compiler, without building."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def backend(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("setuptools")
    monkeypatch.syspath_prepend(str(root / "tools" / "backend"))
    sys.modules.pop("darkfuse_build", None)
    import darkfuse_build
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("LDSHARED", raising=False)
    monkeypatch.setattr(darkfuse_build, "has_headers", lambda: True)
    return darkfuse_build


def test_a_compiler_that_is_there_is_used(backend: ModuleType, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    cc = tmp_path / "my-cc"
    cc.write_text("#!/bin/sh\n")
    cc.chmod(0o755)
    monkeypatch.setenv("CC", f"{cc} -m32")
    assert backend.needs() == []
    assert backend.compiler() == f"{cc} -m32"


def test_without_a_compiler_zig_is_asked_for(backend: ModuleType, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(backend.platform, "machine", lambda: "aarch64")
    assert backend.needs() == [backend.ZIG]
    monkeypatch.setenv("CC", "")  # restored afterwards, with what use_compiler sets
    monkeypatch.setenv("LDSHARED", "")
    backend.use_compiler()
    assert backend.os.environ["CC"].endswith("-m ziglang cc")
    assert backend.os.environ["LDSHARED"].endswith("-m ziglang cc -shared")


@pytest.mark.parametrize("headers, install", [(True, "install gcc"), (False, "install python3")])
def test_what_cannot_be_built_says_so_in_two_lines(backend: ModuleType, tmp_path: Path, headers: bool,
                                                   install: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(backend.platform, "machine", lambda: "armv6l")
    monkeypatch.setattr(backend, "has_headers", lambda: headers)
    with pytest.raises(SystemExit) as end:
        backend.needs()
    lines = str(end.value).splitlines()
    assert len(lines) == 2 and install in lines[1]
