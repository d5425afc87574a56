"""Pictures to blobs and back, as `cv2.dnn.blobFromImage` does: resized with OpenCV's own rounding.

OpenCV scales 8-bit pictures with weights of 11 bits, rows in 32-bit sums and columns in products cut to
their upper 16 bits. Doing the same in numpy makes blobs equal with or without OpenCV, whatever its version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from darkfuse.compat.fault import fault

if TYPE_CHECKING:
    import numpy as np

CV_8U, CV_32F = 0, 5


def plain_array(image: Any) -> np.ndarray:
    """A picture as an array: a `cv2.UMat` is fetched. Raises `error` for what is no picture."""
    import numpy as np

    array = np.asarray(image.get() if hasattr(image, "get") and not isinstance(image, dict) else image)
    if array.ndim not in (2, 3) or array.dtype == object or 0 in array.shape:
        raise fault("expected a picture, an array (height, width[, channels]), not "
                    + ("nothing: was the file read?" if image is None else f"{array.dtype} {array.shape}"))
    return array[..., None] if array.ndim == 2 else array


def _taps(size: int, out: int, factor: float, dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `out` positions the two source positions, and the part of the second."""
    import numpy as np

    at = ((np.arange(out) + 0.5) * factor - 0.5).astype(dtype)
    low = np.floor(at).astype(np.int64)
    return np.clip(low, 0, size - 1), np.clip(low + 1, 0, size - 1), at - low.astype(dtype)


def resize(image: np.ndarray, width: int, height: int, factor: float | None = None) -> np.ndarray:
    """`cv2.resize(image, (width, height))`, bilinear.

    Parameters
    ----------
    image : ndarray
        (h, w, channels), uint8 or float32.
    width, height : int
        Wanted.
    factor : float, optional
        How much larger, where that and not the size was asked for.

    Returns
    -------
    ndarray
        (height, width, channels) of the same dtype.
    """
    import numpy as np

    h, w = image.shape[:2]
    if (h, w) == (height, width) and factor is None:
        return image
    across = (1 / factor, 1 / factor) if factor else (w / width, h / height)
    if image.dtype == np.uint8 and across == (2.0, 2.0):  # halving takes OpenCV's path of areas
        s = image.astype(np.uint16)
        return ((s[0::2, 0::2] + s[0::2, 1::2] + s[1::2, 0::2] + s[1::2, 1::2] + 2) >> 2).astype(np.uint8)
    exact = np.float32 if image.dtype == np.uint8 else np.float64
    x0, x1, u = _taps(w, width, across[0], exact)
    y0, y1, v = _taps(h, height, across[1], exact)
    u[x0 == x1] = 0  # columns at the edge are taken whole; rows there are summed, and rounded, twice
    if image.dtype != np.uint8:
        source = image.astype(np.float32, copy=False)
        u, v = u[None, :, None], v[:, None, None]
        top = source[y0][:, x0] * (1 - u) + source[y0][:, x1] * u
        low = source[y1][:, x0] * (1 - u) + source[y1][:, x1] * u
        return np.asarray(top * (1 - v) + low * v, np.float32)
    a1, b1 = (np.rint(part * np.float32(2048)).astype(np.int32) for part in (u, v))
    a0, b0 = (np.rint((1 - part) * np.float32(2048)).astype(np.int32) for part in (u, v))
    a0, a1 = a0[None, :, None], a1[None, :, None]
    out = np.empty((height, width, image.shape[2]), np.uint8)
    for y in range(height):  # a row at a time: whole pictures of 32-bit sums would take four times the blob
        pair = image[[y0[y], y1[y]]].astype(np.int32)
        sums = (pair[:, x0] * a0 + pair[:, x1] * a1) >> 4
        out[y] = (((sums[0] * b0[y]) >> 16) + ((sums[1] * b1[y]) >> 16) + 2) >> 2
    return out


def _four(values: Any) -> list[float]:
    given = [float(values)] if isinstance(values, (int, float)) else [float(v) for v in values]
    return (given + [0.0] * 4)[:4]


def blobFromImages(images: Sequence[Any], scalefactor: Any = 1.0, size: Any = (0, 0), mean: Any = (),
                   swapRB: bool = False, crop: bool = False, ddepth: int = CV_32F) -> np.ndarray:
    """Pictures as one blob.

    Parameters
    ----------
    images : sequence of array or UMat
        (height, width[, channels]), uint8 or float32; all end in one size.
    scalefactor : float or sequence
        Multiplies what is left after the mean is taken off.
    size : (width, height)
        Wanted; (0, 0) leaves each as it is.
    mean : sequence of float
        Taken off each channel, in the order of the blob's channels.
    swapRB : bool
        Exchange the first and the third channel.
    crop : bool
        Fill `size` with the picture's aspect kept, and cut its middle out; otherwise stretch.
    ddepth : int
        CV_32F (5), or CV_8U (0), which can have neither mean nor factor.

    Returns
    -------
    ndarray
        (n, channels, height, width).

    Raises
    ------
    error
        No picture; sizes that differ; a mean or factor for a blob of bytes.
    """
    import numpy as np

    if ddepth not in (CV_8U, CV_32F):
        raise fault(f"Blob depth should be CV_32F or CV_8U, not {ddepth}")
    mean, width, height = _four(mean), *(int(side) for side in size)
    factor = [float(scalefactor)] * 4 if isinstance(scalefactor, (int, float)) else _four(scalefactor)
    if ddepth == CV_8U and (any(mean) or set(factor) != {1.0}):
        raise fault("Scaling and mean subtraction are not supported for CV_8U blob depth")
    planes = []
    for image in images:
        array = plain_array(image)
        if width and height and array.shape[:2] != (height, width):
            array = _sized(array, width, height, crop)
        array = array.transpose(2, 0, 1)
        if swapRB and len(array) > 2:
            array = array[[2, 1, 0, *range(3, len(array))]]
        if ddepth == CV_32F:
            array = array.astype(np.float32)
            array -= np.array(mean[: len(array)], np.float32)[:, None, None]
            array *= np.array(factor[: len(array)], np.float32)[:, None, None]
        planes.append(array)
    if not planes or any(p.shape != planes[0].shape for p in planes):
        raise fault("pictures of one blob must have one size and as many channels; give a size")
    return np.ascontiguousarray(np.stack(planes))


def _sized(array: np.ndarray, width: int, height: int, crop: bool) -> np.ndarray:
    import numpy as np

    if not crop:
        return resize(array, width, height)
    h, w = array.shape[:2]
    factor = float(np.float32(max(width / w, height / h)))
    array = resize(array, round(w * factor), round(h * factor), factor)
    top, left = int(0.5 * (array.shape[0] - height)), int(0.5 * (array.shape[1] - width))
    return array[top : top + height, left : left + width]


def blobFromImage(image: Any, scalefactor: Any = 1.0, size: Any = (0, 0), mean: Any = (),
                  swapRB: bool = False, crop: bool = False, ddepth: int = CV_32F) -> np.ndarray:
    """One picture as a blob (1, channels, height, width); see `blobFromImages`."""
    return blobFromImages([image], scalefactor, size, mean, swapRB, crop, ddepth)


def imagesFromBlob(blob: Any) -> tuple[np.ndarray, ...]:
    """The pictures of a blob (n, channels, height, width), each (height, width[, channels]) float32."""
    import numpy as np

    pictures = np.asarray(blob, np.float32).transpose(0, 2, 3, 1)
    return tuple(np.ascontiguousarray(p[..., 0] if p.shape[2] == 1 else p) for p in pictures)
