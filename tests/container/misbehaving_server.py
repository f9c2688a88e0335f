"""A server on loopback that misbehaves in each way that HTTP allows, and some that it does not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

GOOD = b'[{"role": "user", "content": "who are you"}]\n'
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = OK + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD

BROKEN: dict[str, bytes] = {
    "nothing at all": b"",
    "no status line": b"\x16\x03\x01 who knows\r\n\r\n",
    "a status that is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "half a status line": b"HTTP/1.",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a header line without end": OK + b"X: " + b"a" * 70_000,
    "headers without end": OK + b"X: a\r\n" * 200 + b"\r\n",
    "a chunked answer that ends early": CHUNKED + b"40\r\nonly this",
    "a chunk size that is none": CHUNKED + b"what\r\n" + GOOD,
    "chunks without the last one": CHUNKED + b"%x\r\n" % len(GOOD) + GOOD + b"\r\n",
    "fewer bytes than told": OK + b"Content-Length: 5000\r\n\r\n" + GOOD,
    "a length that is no number": OK + b"Content-Length: some\r\n\r\n" + GOOD,
    "a length of 5000 digits": OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + GOOD,
    "no length, and cut": OK + b"\r\n" + GOOD[:20],
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "an outage": b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n",
    "a part": b"HTTP/1.1 206 Partial\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD,
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "compressed, unasked": OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b rest",
    "somebody's login page": OK + b"\r\n<html><title>Wi-Fi</title></html>",
    "bytes that are no text": OK + b"\r\n\xff\xfe\x00",
    "a redirect to itself": b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "a redirect to another kind": b"HTTP/1.1 302 F\r\nLocation: gopher://x/\r\n\r\n",
    "a redirect to a bad port": b"HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:no/\r\n\r\n",
    "a redirect with a blank": b"HTTP/1.1 302 F\r\nLocation: http://a b/\x01\r\n\r\n",
    "a redirect to a bad host": b"HTTP/1.1 302 F\r\nLocation: http://[::bad/\r\n\r\n",
    "a redirect to a long name": b"HTTP/1.1 302 F\r\nLocation: http://"
    + b"\xc3\xa9" * 70
    + b".x/\r\n\r\n",
}
RESET = "a reset in the middle"


class Misbehaving:
    """A server on loopback that answers each connection with the next of some raw bytes."""

    def __init__(self, answers: Callable[[int], bytes], *, resets: bool = False) -> None:
        self._answers, self._resets = answers, resets
        self.asked = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                peer.recv(65_536)
                self.asked += 1
                answer = self._answers(self.asked)
                peer.sendall(answer)
                if self._resets and answer is not WHOLE:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def __enter__(self) -> Misbehaving:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextlib.contextmanager
def broken(fault: str, *, times: int = 10**9) -> Iterator[Misbehaving]:
    raw = BROKEN.get(fault, OK + b"Content-Length: 9999\r\n\r\nsome")
    with Misbehaving(lambda n: raw if n <= times else WHOLE, resets=fault == RESET) as server:
        yield server
