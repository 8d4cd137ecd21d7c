"""Large answers, sent no faster than they are taken: what a caller does not read must not pile up in buffers.

asyncio's transport of TLS takes whatever is written to it at once, encrypts it and keeps it. So a large answer is
written in pieces, each when the one before is mostly gone, and its caller has a least rate to keep to.
"""

import asyncio

from aiohttp import ClientConnectionError, web

PIECE_BYTES = 64 << 10
GRACE_S = 5.0
LEAST_BYTES_PER_S = 256 << 10


class InPieces(web.StreamResponse):
    """An answer that is sent by ``send``."""

    def __init__(self, whole: web.Response, body: bytes) -> None:
        """Take status and headers of an answer, and its body."""
        super().__init__(status=whole.status, reason=whole.reason, headers=whole.headers)
        self._pieces = memoryview(body)
        self.content_length = len(body)

    async def send(
        self, request: web.BaseRequest, *, grace_s: float = GRACE_S, least_bytes_per_s: float = LEAST_BYTES_PER_S
    ) -> bool:
        """Send it, unless the caller has gone; return False, and end the connection, if it takes it too slowly.

        Args:
            request: that it answers.
            grace_s: what the caller may take besides the time that follows from the rate.
            least_bytes_per_s: at which it has to take it.
        """
        transport = request.transport
        if transport is None:
            return True
        transport.set_write_buffer_limits(PIECE_BYTES)
        try:
            async with asyncio.timeout(grace_s + len(self._pieces) / least_bytes_per_s):
                await self.prepare(request)
                for start in range(0, len(self._pieces), PIECE_BYTES):
                    await self.write(self._pieces[start : start + PIECE_BYTES])
        except TimeoutError:
            transport.abort()
            return False
        except (ConnectionError, ClientConnectionError):  # aiohttp finds out by itself
            return True
        return True


def in_pieces(response: web.StreamResponse) -> web.StreamResponse:
    """Return an answer in pieces if it is large, else as it is."""
    body = response.body if isinstance(response, web.Response) else None
    if isinstance(response, web.Response) and isinstance(body, bytes) and len(body) > PIECE_BYTES:
        return InPieces(response, body)
    return response
