"""The command line's parser, for the command reference and the man page."""

from __future__ import annotations

import argparse

from darkfuse.cli.main import VERBS, build_parser


def command() -> argparse.ArgumentParser:
    """The parser of `darkfuse` with all its verbs."""
    return build_parser(VERBS)[0]
