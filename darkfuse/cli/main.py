"""Entry point of the `darkfuse` command: finds the verb, runs it, turns errors into one line and a status.

Exit status: 0 done, 2 bad input or usage (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from darkfuse.cli.order import options_first
from darkfuse.errors import DarkfuseError
from darkfuse.host import interrupt
from darkfuse.host.lazy import lazy

lazy("inspect")  # `dataclasses` imports it, up to Python 3.12 for nothing we use: 0.8 MB
argparse._ = str  # type: ignore[attr-defined]  # no catalogue has its words: looking takes 0.3 MB

VERBS = {
    "detect": "find objects in pictures",
    "classify": "name what pictures show",
    "info": "print the layers of a network and what they weigh",
    "plan": "will it fit, how fast, and with what plan",
    "calibrate": "measure this machine for the planner",
    "map": "score a network on a folder of labelled photos (VOC and COCO mAP)",
    "valid": "write Darknet's result files of a set of photos (its detector valid)",
    "recall": "how many labelled objects some box covers (Darknet's detector recall)",
    "anchors": "anchors for a set of labels (AlexeyAB's detector calc_anchors)",
    "download": "fetch weights of well-known models",
    "demo": "live boxes from a camera or a video, in a window or a browser",
    "serve": "answer over HTTP what is in pictures, for cameras and printers",
    "watch": "detect in each picture that appears in a folder",
    "label": "find objects in a whole collection of pictures",
    "doctor": "say what this machine has, and what would get in the way",
    "completion": "print the completion of a shell",
}
FAMILIES = ("detector", "classifier", "test")  # Darknet's own, see `cli.darknet`

_DARKNET_SPELLING = re.compile(r"-([a-z]{2}[a-z_-]*)((?:=.*)?)", re.DOTALL)


class Formatter(argparse.HelpFormatter):
    """HelpFormatter that asks the terminal itself how wide it is: argparse, which makes one of these for
    every option, would import `shutil` and three compression libraries for that, 0.5 MB."""

    def __init__(self, prog: str, *args: Any, **options: Any) -> None:
        if not args and options.get("width") is None:
            options["width"] = terminal_columns() - 2
        super().__init__(prog, *args, **options)


def terminal_columns() -> int:
    """Columns of the terminal, 80 where there is none; the environment's COLUMNS goes first."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


class Parser(argparse.ArgumentParser):
    """ArgumentParser whose errors are one line, and which takes no shortened options."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", Formatter)
        super().__init__(*args, **options)

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2; an option near to one there is gets a suggestion."""
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        if unknown:
            from darkfuse.host.suggest import did_you_mean

            message += did_you_mean(unknown[1], self.options())
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        if choice:
            from darkfuse.host.suggest import did_you_mean

            message += did_you_mean(choice[1], re.findall(r"[\w.+-]+", choice[2]))
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def verbs(self) -> dict[str, argparse.ArgumentParser]:
        """Parsers of the verbs added."""
        return {name: verb for action in self._actions if isinstance(action, argparse._SubParsersAction)
                for name, verb in action.choices.items()}

    def options(self) -> list[str]:
        """All long options of the verbs added."""
        return [option for verb in self.verbs().values() for action in verb._actions
                for option in action.option_strings if option.startswith("--")]


def darknet_spellings(arguments: Sequence[str]) -> list[str]:
    """Turn Darknet's `-thresh .5` and `-dont_show` into `--thresh .5` and `--dont-show`.

    Single letters (`-o`), values and everything after `--` stay as they are.
    """
    result: list[str] = []
    for position, word in enumerate(arguments):
        if word == "--":
            return [*result, *arguments[position:]]
        match = _DARKNET_SPELLING.fullmatch(word)
        result.append(f"--{match[1].replace('_', '-')}{match[2]}" if match else word)
    return result


class _Verbs(argparse._SubParsersAction):  # type: ignore[type-arg]
    def add_parser(self, name: str, **options: Any) -> Any:
        return super().add_parser(name, help=VERBS[name], **options)


def build_parser(verbs: Iterable[str], named: Iterable[str] = ()) -> tuple[Parser, dict[str, Any]]:
    """Parser with some verbs added, and their modules by name; others are `named` without their options."""
    parser = Parser(prog="darkfuse", description="Run Darknet models in little memory.",
                    epilog="Darknet's own commands work too, with its flags: detector test, demo, map, "
                           "valid, recall, calc_anchors; classifier predict, valid; test.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", action=_Verbs)
    for verb in named:
        subparsers.add_parser(verb)
    modules: dict[str, Any] = {}
    for verb in verbs:
        modules[verb] = importlib.import_module(f"darkfuse.cli.{verb}")
        modules[verb].add(subparsers)
    return parser, modules


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: this process's) and return the exit status."""
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except BrokenPipeError:
        # Whoever read our output has gone; give the interpreter's own last flush somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return interrupt.status()
    except DarkfuseError as error:
        return _fail(str(error) + _near(str(error)))
    except MemoryError:
        return _fail("out of memory")
    except ModuleNotFoundError:
        from darkfuse.host.built import missing

        why = missing()
        if why is None:
            raise
        return _fail(why)
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
            # Every file of ours names itself. The interpreter's own last flush would fail as this one did.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return _fail(f"standard output: {error.strerror}")
        where = f"{error.filename}: " if error.filename is not None else ""
        return _fail(f"{where}{error.strerror or error}")


def _run(given: list[str]) -> int:
    if given and given[0] in FAMILIES:
        from darkfuse.cli.darknet import translated

        given = translated(given)
    arguments = darknet_spellings(given)
    warnings.showwarning = _show_warning
    # Only the verb asked for is imported: the others would cost memory for nothing.
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    if chosen is not None and chosen not in VERBS:
        from darkfuse.host.suggest import did_you_mean

        near = did_you_mean(chosen, [*VERBS, *FAMILIES])
        return _fail(f"there is no verb {chosen}" + (near or "; there are " + ", ".join(VERBS)))
    if {"-h", "--help", "--version"}.issuperset(arguments):  # nothing about any one verb: none is imported
        parser, modules = build_parser((), VERBS)
    else:
        parser, modules = build_parser(VERBS if chosen is None else [chosen])
    if chosen is not None:
        at = arguments.index(chosen) + 1
        arguments[at:] = options_first(parser.verbs()[chosen], arguments[at:])
    args = parser.parse_args(arguments)
    if args.version:
        from darkfuse import __version__

        print(f"darkfuse {__version__}")
        return 0
    if args.verb is None:
        parser.error("which verb? one of " + ", ".join(VERBS))
    status = int(modules[args.verb].run(args))
    sys.stdout.flush()
    return status


def _near(message: str) -> str:
    """A file that may have been meant, where the message is about one that is not there."""
    gone = re.fullmatch(r"([^\n:]+): cannot read the [\w ]+: No such file or directory", message)
    if not gone:
        return ""
    from darkfuse.host.suggest import near_file

    return near_file(gone[1])


def _fail(message: str) -> int:
    sys.stderr.write("darkfuse: " + " ".join(message.split("\n")) + "\n")
    return 2


def _show_warning(message: Warning | str, *_where: Any, **_more: Any) -> None:
    sys.stderr.write(f"darkfuse: warning: {message}\n")
