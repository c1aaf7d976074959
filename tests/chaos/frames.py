"""What a server sends, cut into WebSocket frames where it is a WebSocket. No I/O: bytes in, pieces out."""

from dataclasses import dataclass

_HEAD_END = b"\r\n\r\n"
_SWITCHING = b"HTTP/1.1 101"
_MESSAGES = {0x1, 0x2}
_LENGTH_IN = {126: 2, 127: 8}


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that belong together."""

    data: bytes
    message: bool = False
    """Whether it is a whole message: the local server neither fragments nor compresses them."""


class Frames:
    """One connection's way from the server, from its first answer on; any other than 101 passes as it is."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._websocket: bool | None = None

    def feed(self, data: bytes) -> list[Piece]:
        self._buffer += data
        pieces = []
        while piece := self._next():
            pieces.append(piece)
        return pieces

    def _next(self) -> Piece | None:
        if self._websocket:
            return self._frame()
        if self._websocket is None:
            return self._head()
        return self._take(len(self._buffer))

    def _head(self) -> Piece | None:
        if _HEAD_END not in self._buffer:
            return None
        self._websocket = self._buffer.startswith(_SWITCHING)
        return self._take(self._buffer.index(_HEAD_END) + len(_HEAD_END))

    def _frame(self) -> Piece | None:
        if len(self._buffer) < 2:
            return None
        # The mask bit is never set by a server.
        length, begin = self._buffer[1], 2
        if size := _LENGTH_IN.get(length):
            begin += size
            if len(self._buffer) < begin:
                return None
            length = int.from_bytes(self._buffer[2:begin], "big")
        if len(self._buffer) < begin + length:
            return None
        return self._take(begin + length, message=self._buffer[0] & 0x0F in _MESSAGES)

    def _take(self, count: int, *, message: bool = False) -> Piece | None:
        if not count:
            return None
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return Piece(data, message)
