"""A TCP proxy before a server on a Unix socket, which can reset all connections and take no new ones."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

_CHUNK = 1 << 16


class CuttingProxy:
    """Runs in a thread of its own; `port` is where it listens."""

    def __init__(self, upstream: Path) -> None:
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._ways: set[asyncio.Task[None]] = set()
        self._cut = False
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy of {upstream}", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Reset every connection, and each new one until `join`."""
        asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result()

    def join(self) -> None:
        """Let connections through again."""
        self._cut = False

    def close(self) -> None:
        """End the proxy and what goes through it."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        self._open.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            answers, upstream = await asyncio.open_unix_connection(str(self._upstream))
            self._open.add(upstream)
            if self._cut:
                return
            ways = [asyncio.create_task(_pass_on(reader, upstream)), asyncio.create_task(_pass_on(answers, writer))]
            self._ways.update(ways)
            _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in left:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._ways.difference_update(ways)
        except OSError:
            pass  # the server is away; its client sees a reset
        finally:
            for end in (writer, upstream):
                if end is not None:
                    self._open.discard(end)
                    end.transport.abort()

    async def _reset(self) -> None:
        self._cut = True
        for end in list(self._open):
            end.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        await self._reset()
        # With its connections gone, each ends by itself.
        if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=5)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
