"""The live view in a browser: one page, one thread, bounded memory, nothing from outside."""
