"""What runs for long: the camera loop, the folder watch, the live page, and their statistics.

::

    camera ─▶ session.network ─▶ window, writer, web page      percentiles of what it took
    watch  ─▶ session.network ─▶ drawn pictures, JSON lines
    sources ─▶ label ─▶ session.network, many pictures at a time ─▶ a line of JSON each, resumably
    serve/ ─▶ session.network ─▶ answers over HTTP and ZMQ; MQTT

Start reading at `camera.run`, `watch.watch` and `label.label`.
"""
