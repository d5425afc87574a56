"""Bodies with a picture: whatever pieces they come in, into a file, within limits."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import PICTURE, form

from darkfuse.live.serve.upload import FIELD_BYTES, MOST_FIELDS, Upload
from darkfuse.live.web.http import Refused, Request

pytest.importorskip("multipart")


def upload(body: bytes, kind: str, most: int = 1 << 20, cuts: list[int] | None = None) -> Upload:
    made = Upload(Request("POST", "/detect", "", {"content-type": kind}, len(body)), most)
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts or ()), len(body)]
    try:
        for start, end in zip(edges, edges[1:]):
            if end > start:
                made.write(body[start:end])
        made.finish()
    except Refused:
        made.close()
        raise
    return made


def content(made: Upload) -> bytes:
    with open(made.path, "rb") as file:
        data = file.read()
    made.close()
    return data


@given(st.lists(st.integers(0, 1 << 20), max_size=8))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    body, kind = form(thresh="0.25", camera="door")
    made = upload(body, kind, cuts=cuts)
    assert made.fields == {"thresh": "0.25", "camera": "door"} and made.size == len(PICTURE)
    assert content(made) == PICTURE
    assert content(upload(PICTURE, "image/png", cuts=cuts)) == PICTURE


@given(st.binary(max_size=300), st.sampled_from(["multipart/form-data; boundary=XyZ", "multipart/form-data",
                                                 "multipart/form-data; boundary=\xe9", "image/png", ""]))
def test_nonsense_is_refused_or_taken_as_it_is(body: bytes, kind: str) -> None:
    try:
        made = upload(body, kind)
    except Refused as refused:
        assert refused.status in (400, 413)
    else:
        made.close()


@pytest.mark.parametrize(("body", "status"), [
    (form(b"x" * 3000)[0], 413), (form(field="y" * (FIELD_BYTES + 1))[0], 413),
    (form(b"a")[0][:-4], 400), (form(b"a")[0].replace(b"--XyZ--\r\n", b"") + form(b"b")[0], 400),
    (form(b"a", **{f"f{number}": "" for number in range(MOST_FIELDS)})[0], 413), (b"--XyZ--\r\n", 200),
    (form(b"a" * 10)[0].replace(b"name", b"n" * 2000), 413)])
def test_forms_have_limits(body: bytes, status: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    try:
        upload(body, "multipart/form-data; boundary=XyZ", 2000).close()
        assert status == 200
    except Refused as refused:
        assert refused.status == status
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_file_has_no_name_and_goes(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    made = upload(PICTURE, "image/png")
    assert os.listdir(str(tmp_path)) == [] and os.path.exists(made.path)
    path = made.path
    made.close()
    made.close()
    assert made.path == "" and not os.path.exists(path)
