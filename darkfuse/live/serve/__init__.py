"""`darkfuse serve`: one network behind HTTP, ZMQ and MQTT, within one budget.

::

    web.hub ─▶ door ─▶ upload, fetch ─▶ queue ─▶ run ─▶ session.network
                │                                 │
                └─ forms: own, obico, deepstack ◀─┘ ─▶ metrics, log

One thread serves connections, a few fetch pictures by address, and the main one detects: a network is not for
several at once. Start reading at `run.run`.
"""
