"""`python -m darkfuse.cv2 [--as 4.14] program.py ...`: a program gets its Darknet importer back."""

from darkfuse.compat.restore import restore, run_program

__all__ = ["restore", "run_program"]

if __name__ == "__main__":
    import sys

    sys.exit(run_program(sys.argv[1:]))
