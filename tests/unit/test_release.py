"""The release script, without building."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_notes_are_the_section_of_the_version(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    import check_release

    changes = "# Changes\n\n## Unreleased\n\n- new\n\n## 0.1.0 (2026-11-23)\n\nFirst.\n\n- old\n"
    assert check_release.notes(changes, "0.1.0") == "First.\n\n- old\n"
    assert check_release.notes(changes, "0.2.0") == "- new\n"


def test_an_index_lists_what_pip_may_install(root: Path, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    import check_release

    (tmp_path / "darkfuse-9-py3-none-any.whl").write_bytes(b"wheel")
    address = check_release.make_index(tmp_path, tmp_path / "index")
    assert address.startswith("file://")
    listed = (tmp_path / "index" / "darkfuse" / "index.html").read_text()
    assert 'href="darkfuse-9-py3-none-any.whl"' in listed
    digest, name = check_release.sums(tmp_path).split()
    assert len(digest) == 64 and name == "darkfuse-9-py3-none-any.whl"
