"""`darkfuse download NAME`: fetch the weights of a well-known model into weights/."""

from __future__ import annotations

import argparse
import os
import warnings
from typing import Any

from darkfuse.model.zoo import OFFICIAL


def add(subparsers: Any) -> None:
    """Register the verb."""
    sizes = "\n".join(
        f"  {e.name:<20} {(e.header or 16) + 4 * e.floats:>11,} bytes  {e.about}" for e in OFFICIAL.values()
    )
    parser = subparsers.add_parser(
        "download",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Fetch weights of well-known models over https, going on where an earlier try stopped.",
        epilog=f"Known files:\n{sizes}",
    )
    parser.add_argument("name", choices=list(OFFICIAL), metavar="NAME", help=", ".join(OFFICIAL))
    parser.add_argument(
        "--into", default="weights", metavar="DIR", help="folder to put it in (default weights)"
    )
    parser.add_argument(
        "--from",
        dest="address",
        metavar="URL",
        help="another https address to take it from; size and checksum still must be the official ones",
    )


def run(args: argparse.Namespace) -> int:
    """Download and check; says what was checked."""
    from darkfuse.cli.progress import Progress
    from darkfuse.model.fetch import fetch

    entry = OFFICIAL[args.name]
    present = os.path.exists(os.path.join(args.into, entry.filename))
    with Progress(entry.filename, entry.size) as bar:
        path = fetch(entry, args.into, bar.update, [args.address] if args.address else None)
    checked = (
        f"{entry.digest.split(':')[0]} checked"
        if entry.digest
        else "header and size checked"
    )
    print(
        f"{path}: {'already there' if present else 'downloaded'}, {os.path.getsize(path):,} bytes, {checked}"
    )
    if not entry.digest:
        warnings.warn(f"{path}: no checksum of it is known; only the address it came from vouches for it",
                      stacklevel=1)
    return 0
