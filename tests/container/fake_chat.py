"""A stand-in for the model's chat process: echoes, in OpenAI's shape or in nanochat's."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        pages = {"/": b"the model's own page", "/health": b"{}"}
        if self.path not in pages:
            self.send_error(404)
            return
        self.answer(pages[self.path], "text/html")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print("asked:", body["messages"][-1]["content"], flush=True)  # as nanochat's does
        words = body["messages"][-1]["content"].split()
        if self.path == "/chat/completions":
            if any(message["role"] == "system" for message in body["messages"]):
                self.answer(b'{"detail": "Message 0 has invalid role."}', "application/json", 400)
                return
            tokens = "".join(f"data: {json.dumps({'token': word + ' '})}\n\n" for word in words)
            self.answer((tokens + 'data: {"done": true}\n\n').encode(), "text/event-stream")
            return
        if body.get("stream"):
            chunks = [
                {"choices": [{"index": 0, "delta": {"content": f"{word} "}}]} for word in words
            ]
            lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
            self.answer(f"{lines}data: [DONE]\n\n".encode(), "text/event-stream")
            return
        choice = {"index": 0, "message": {"role": "assistant", "content": " ".join(words)}}
        self.answer(json.dumps({"choices": [choice]}).encode(), "application/json")

    def answer(self, body, kind, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):  # noqa: A002  # the base class names it so
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
