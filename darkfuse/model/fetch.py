"""Download a `.weights` file: resumed where it stopped, checked, and in place only when it is whole.

Only over https: of files without a known checksum nothing but the address vouches for what they hold. A
redirect to anything else is refused as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import IO

from darkfuse.errors import DownloadError, WeightsError
from darkfuse.model.weights import read_header
from darkfuse.model.zoo import Official

CHUNK = 256 * 1024
# The site turns Python's own user agent away with 403.
AGENT = "Mozilla/5.0 (compatible; darkfuse)"
Progress = Callable[[int, "int | None"], None]


def check(path: str, entry: Official) -> None:
    """See that a file is the official one, as far as that can be known.

    Raises
    ------
    DownloadError
        The header is nonsense, the size is not header + floats, or the checksum differs.
    """
    try:
        header, size = read_header(path)
    except WeightsError as error:
        raise DownloadError(str(error)) from None
    wanted = entry.size or header.bytes + 4 * entry.floats
    if size != wanted:
        raise DownloadError(f"{path}: {size} bytes, but the official {entry.filename} has {wanted}")
    if entry.digest is None:
        return
    kind, digest = entry.digest.split(":")
    running = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(CHUNK), b""):
            running.update(block)
    if running.hexdigest() != digest:
        raise DownloadError(
            f"{path}: its {kind} is {running.hexdigest()}, the official {entry.filename} has {digest}"
        )


def fetch(
    entry: Official,
    folder: str,
    progress: Progress | None = None,
    addresses: Sequence[str] | None = None,
    timeout: float = 30,
) -> str:
    """Download an official file into a folder; returns its path. A whole one already there is only checked.

    Bytes gather in ``NAME.weights.part``; an interrupted download goes on from there next time.

    Parameters
    ----------
    entry : Official
    folder : str
        Made if missing.
    progress : callable, optional
        Called with bytes so far and bytes in all (None if unknown).
    addresses : sequence of str, optional
        Tried in order, https all of them; default the entry's own.
    timeout : float
        Seconds of silence before giving up.

    Raises
    ------
    DownloadError
        The file there is not the official one, an address is not https or leads elsewhere, none answers, the
        connection breaks, or what came is not the official file (it is then deleted).
    """
    for address in addresses or ():
        if not _is_https(address):
            raise DownloadError(f"{address}: not an https address, and nothing is downloaded from another")
    path = os.path.join(folder, entry.filename)
    if os.path.exists(path):
        try:
            check(path, entry)
        except DownloadError as error:
            raise DownloadError(f"{error}; delete it to download it again") from None
        return path
    part = path + ".part"
    try:
        os.makedirs(folder, exist_ok=True)
        _receive_from_any(entry, path, part, addresses or entry.addresses, progress, timeout)
        try:
            check(part, entry)
        except DownloadError as error:
            os.remove(part)
            raise DownloadError(f"{error}; deleted, try again") from None
        os.replace(part, path)
    except OSError as error:
        raise DownloadError(f"{path}: cannot write: {error.strerror or error}") from None
    return path


def _receive_from_any(
    entry: Official,
    path: str,
    part: str,
    addresses: Sequence[str],
    progress: Progress | None,
    timeout: float,
) -> None:
    """Try each address; only when all refuse is it an error, told of the first."""
    first = ""
    for address in addresses:
        try:
            _receive(entry, address, part, progress, timeout)
            return
        except urllib.error.HTTPError as error:
            first = first or f"it answers {error.code} {error.reason}"
            error.close()
        except urllib.error.URLError as error:
            first = first or str(getattr(error.reason, "strerror", None) or error.reason)
        except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
            # Most of these are OSErrors: told apart here from a full disk.
            first = first or (str(error) or type(error).__name__)
        # What another site sends is the same file, so the part is kept.
    raise DownloadError(
        f"cannot download {addresses[0]} ({first}); run this again, or fetch it elsewhere and "
        f"put it at {path}"
    )


def _is_https(address: str) -> bool:
    return address.lower().startswith("https://")


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https addresses alone."""

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
                         headers: http.client.HTTPMessage, newurl: str) -> urllib.request.Request | None:
        """Refuse another scheme before anything is asked of it."""
        if not _is_https(newurl):
            fp.close()
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(address: str, start: int, timeout: float) -> http.client.HTTPResponse:
    request = urllib.request.Request(address, headers={"User-Agent": AGENT})
    if start:
        request.add_header("Range", f"bytes={start}-")
    opener = urllib.request.build_opener(_HttpsOnly)
    return opener.open(request, timeout=timeout)  # type: ignore[no-any-return]


def _receive(entry: Official, address: str, part: str, progress: Progress | None, timeout: float) -> None:
    """Append what is missing to ``part``."""
    have = os.path.getsize(part) if os.path.exists(part) else 0
    if entry.size is not None and have >= entry.size:
        if have == entry.size:
            return
        os.remove(part)
        have = 0
    try:
        answer = _open(address, have, timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # Nothing lies beyond what we have: it is whole, or not this file. `check` tells which.
        error.close()
        return
    with contextlib.closing(answer):
        resumed = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(
            f"bytes {have}-"
        )
        if not resumed:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else entry.size
        if entry.size is not None and total != entry.size:
            raise DownloadError(
                f"{address} offers {total} bytes, but the official {entry.filename} has {entry.size}"
            )
        with open(part, "ab" if resumed else "wb") as file:
            while block := answer.read(CHUNK):
                file.write(block)
                have += len(block)
                if progress:
                    progress(have, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and have < total:
        raise http.client.HTTPException(f"the connection broke after {have} of {total} bytes")
