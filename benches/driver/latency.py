"""A proxy on the loopback interface that delays bytes, for both directions alike, and limits nothing else.

Run as a program of its own (`latency.py MILLIS PORT...`), so that its work is not the driver's: it prints one
listening port for each port to connect to, and serves until it is stopped. Opening a connection costs a round trip
as well, as on a real line: the kernel's handshake with us is free, so the first bytes wait for one round trip more.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import List, Optional, Tuple

from workspace import BenchError, Workspace

CHUNK = 256 * 1024
# What may be under way at once. At 50 ms it stands for 640 MB/s: no limit for what is measured here.
CHUNKS_UNDER_WAY = 128


class Line:
    """One direction of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
        self.reader, self.writer, self.delay = reader, writer, delay
        self.under_way: asyncio.Queue[Tuple[float, bytes]] = asyncio.Queue(CHUNKS_UNDER_WAY)

    async def carry(self, first_at: float) -> None:
        """Moves bytes until the sender closes; nothing arrives before `first_at`."""
        await asyncio.gather(self._accept(first_at), self._deliver())

    async def _accept(self, first_at: float) -> None:
        clock = asyncio.get_running_loop().time
        data = b"-"
        while data:
            try:
                data = await self.reader.read(CHUNK)
            except ConnectionError:
                data = b""
            await self.under_way.put((max(clock() + self.delay, first_at), data))

    async def _deliver(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, data = await self.under_way.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not data:
                self.writer.write_eof()
                return
            self.writer.write(data)
            await self.writer.drain()


async def serve_connection(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, delay: float
) -> None:
    """Connects one client with the server behind."""
    first_at = asyncio.get_running_loop().time() + 3 * delay
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port, limit=CHUNK)
    except OSError:
        writer.close()
        return
    there = asyncio.create_task(Line(reader, far_writer, delay).carry(first_at))
    back = asyncio.create_task(Line(far_reader, writer, delay).carry(0.0))
    try:
        # The server has the last word: once it has closed, nobody hears what the client still says.
        await asyncio.gather(back, return_exceptions=True)
    finally:
        there.cancel()
        await asyncio.gather(there, return_exceptions=True)
        for stream in (writer, far_writer):
            stream.close()


async def main(delay: float, ports: List[int]) -> None:
    """Opens one listener for each port and tells their ports, one to a line."""
    servers = []
    for port in ports:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port) -> None:
            await serve_connection(reader, writer, port, delay)

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=CHUNK)
        servers.append(server)
        print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


class LatencyProxy:
    """The proxy as the driver sees it."""

    def __init__(self, space: Workspace, millis: int, ports: List[int]) -> None:
        self.space, self.millis, self.behind = space, millis, ports
        self.ports: List[int] = []
        self.process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        """Starts it; `ports` then stand for the ports behind, in their order."""
        command = [sys.executable, str(Path(__file__)), str(self.millis), *map(str, self.behind)]
        self.process = subprocess.Popen(
            command, env=self.space.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline().strip() for _ in self.behind]
        if not all(lines):
            raise BenchError("the latency proxy did not start")
        self.ports = [int(line) for line in lines]

    def stop(self) -> None:
        """Stops it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]) / 1000, [int(port) for port in sys.argv[2:]]))
    except KeyboardInterrupt:
        pass
