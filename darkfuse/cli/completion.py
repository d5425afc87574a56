"""`darkfuse completion bash|zsh|fish`: what the shell needs to complete verbs, options and files."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli.darknet import COMMANDS, FAMILIES, FLAGS

SHELLS = ("bash", "zsh", "fish")


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "completion", allow_abbrev=False,
        description="Print a shell's completion. bash: eval \"$(darkfuse completion bash)\" in ~/.bashrc; "
                    "zsh: the same in ~/.zshrc; fish: darkfuse completion fish | source.")
    parser.add_argument("shell", choices=SHELLS)


def run(args: argparse.Namespace) -> int:
    """Print it."""
    options = words()
    print(fish(options) if args.shell == "fish" else bash(options, args.shell == "zsh"))
    return 0


def words() -> dict[str, list[str]]:
    """Each verb's options."""
    from darkfuse.cli.main import VERBS, build_parser

    parser, _ = build_parser(VERBS)
    choices = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    return {verb: sorted(o for a in sub._actions if a.help != argparse.SUPPRESS
                         for o in a.option_strings if o.startswith("--"))
            for verb, sub in choices.items()}


def bash(options: dict[str, list[str]], zsh: bool = False) -> str:
    """A function for bash; zsh runs it too, once told to."""
    families = {family: " ".join(second for first, second in COMMANDS if first == family)
                for family, second in COMMANDS if second}
    cases = "\n".join([f'    {verb}) words="{" ".join(of)}" ;;' for verb, of in options.items()]
                      + [f'    {"|".join(FAMILIES)}) words="{" ".join(FLAGS)}" ;;'])
    seconds = "\n".join(f'      {family}) COMPREPLY=($(compgen -W "{those}" -- "$word")); return ;;'
                        for family, those in families.items())
    head = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n" if zsh else ""
    return f"""{head}_darkfuse() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join([*options, *FAMILIES])}" -- "$word")); return
  fi
  if [ "$COMP_CWORD" -eq 2 ]; then
    case "${{COMP_WORDS[1]}}" in
{seconds}
    esac
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}}
complete -o filenames -F _darkfuse darkfuse"""


def fish(options: dict[str, list[str]]) -> str:
    """Lines for fish."""
    lines = [f"complete -c darkfuse -n __fish_use_subcommand -a {verb}" for verb in (*options, *FAMILIES)]
    lines += [f"complete -c darkfuse -n '__fish_seen_subcommand_from {family}' -a {command}"
              for family, command in COMMANDS if command]
    lines += [f"complete -c darkfuse -n '__fish_seen_subcommand_from {verb}' -l {option[2:]}"
              for verb, of in options.items() for option in of]
    return "\n".join(lines)
