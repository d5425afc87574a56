"""A web service: POST a photo, get its boxes as JSON. Standard library only, one photo at a time.

    python examples/web_service.py [PORT]
    curl --data-binary @docs/images/cat.jpg http://127.0.0.1:8000/
"""

from __future__ import annotations

import json
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import darkfuse

LARGEST = 20 << 20  # bytes of a photo
net = darkfuse.load(mem="96M")


class Service(BaseHTTPRequestHandler):
    """One request: the body is a photo."""

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        if not 0 < size <= LARGEST:
            return self.answer(413, {"error": f"send a photo of up to {LARGEST} bytes"})
        with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
            file.write(self.rfile.read(size))
            file.flush()
            try:
                result = net.detect(file.name)
            except darkfuse.DarkfuseError:
                return self.answer(400, {"error": "that is no picture"})
        self.answer(200, [{"name": found.name, "confidence": round(found.confidence, 3), "xyxy": corners}
                          for found, corners in zip(result.detections, result.xyxy)])

    def answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = HTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8000), Service)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
