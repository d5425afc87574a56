"""Pictures in and out: decoding and drawing, each within an amount of memory named by the caller.

Pillow decodes and draws; it is imported only when a picture is touched, and where memory is short only in a
short-lived process (`darkfuse.host.helper`), so that the process holding the arena never carries it.
"""
