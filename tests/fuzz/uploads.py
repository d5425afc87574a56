"""Bodies of `serve`'s requests: multipart forms and bare pictures, in pieces as a socket gives them."""

from __future__ import annotations

from darkfuse.live.serve.upload import Upload
from darkfuse.live.web.http import parse

MOST = 4096
HEAD = b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
FORM = (b'--XX\r\nContent-Disposition: form-data; name="thresh"\r\n\r\n0.5\r\n--XX\r\nContent-Disposition: '
        b'form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--XX--\r\n')
WORDS = (b"--XX\r\n", b"--XX--", b"\r\n\r\n", b"boundary=", b'name="image"', b'name="', b"filename*=''%ff",
         b"Content-Length: 0\r\n", b"; ", b'"', b"\\", b"\0", b"Content-Transfer-Encoding: base64\r\n")


def seeds() -> list[bytes]:
    length = b"Content-Length: %d\r\n\r\n" % len(FORM)
    bare = b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\n\x89PNG\r\n\x1a\n"
    return [HEAD + length + FORM, bare]


def read(data: bytes) -> object:
    """The head, then the body piece by piece into a file of at most `MOST` bytes."""
    got = parse(bytearray(data))
    if got is None:
        return None
    request, at = got
    body = data[at : at + request.length]
    upload = Upload(request, MOST)
    try:
        for start in range(0, len(body), 97):
            upload.write(body[start : start + 97])
        upload.finish()
        if upload.size > MOST:
            raise AssertionError(f"{upload.size} bytes were taken")
        return upload.fields, upload.size
    finally:
        upload.close()

