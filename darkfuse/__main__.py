"""Where `darkfuse ...` and `python -m darkfuse ...` begin."""

from darkfuse.host.interrupt import end_at_once, end_cleanly, leave

end_at_once()  # before anything that takes time is imported


def main() -> int:
    """Run the command line of this process and return the exit status."""
    from darkfuse.cli.main import main as run
    from darkfuse.host.again import remember_command

    remember_command()
    try:
        end_cleanly()
        return leave(run())
    finally:
        end_at_once()


if __name__ == "__main__":
    import sys

    sys.exit(main())
