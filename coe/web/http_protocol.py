"""HTTP/1.1 by httptools, with a bound on what a client may send before its request is known.

httptools takes a third of the time of h11, but keeps the head of a request in memory however long
it is, before anybody asks who sends it. h11 refuses a head of more than 64 KiB, and so does this.
"""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 * 1024
"""The target of a request; the names and values of its headers and trailers; one incomplete one."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _head = 0
    """Bytes of the target and of the complete headers of this request."""
    _unread = 0
    """Bytes of reads since the parser last reported something complete."""

    def data_received(self, data: bytes) -> None:
        """Parse what was read; refuse what goes on for too long without an end."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD_BYTES + len(data) and not self.transport.is_closing():
            self.send_400_response("A header is too long.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._head = self._unread = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer after the body."""
        self._unread = 0
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; who reads it bounds it."""
        self._unread = 0
        super().on_body(body)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD_BYTES:
            raise ValueError("the head of the request is too long")
