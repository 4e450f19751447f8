"""A broker as it is seen from far away: a proxy in front of it that hands every byte on late."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

__all__ = ["far_away"]


@contextlib.contextmanager
def far_away(url: str, round_trip_s: float) -> Iterator[str]:
    """The address under which the broker at `kafka://HOST:PORT` is that far away."""
    host, _, port = url.removeprefix("kafka://").rpartition(":")
    listener = socket.create_server((host, 0))
    own_port: int = listener.getsockname()[1]
    # The broker tells clients where to come to: a text, and behind it the port.
    told, tell = (host.encode() + struct.pack(">i", number) for number in (int(port), own_port))

    def accept() -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = listener.accept()
                _start(connect, client)

    def connect(client: socket.socket) -> None:
        time.sleep(round_trip_s)  # a connection is made by one
        broker = socket.create_connection((host, int(port)))
        _start(_carry, client, broker, round_trip_s / 2, lambda data: data)
        _start(_carry, broker, client, round_trip_s / 2, lambda data: data.replace(told, tell))

    _start(accept)
    yield f"kafka://{host}:{own_port}"
    listener.close()


def _start(work: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket, delay_s: float, change: Callable[[bytes], bytes]) -> None:
    on_the_way: Queue[tuple[float, bytes]] = Queue()

    def deliver() -> None:
        with sink, contextlib.suppress(OSError):
            while True:
                due, data = on_the_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    return
                sink.sendall(change(data))

    _start(deliver)
    data = b"-"
    while data:
        try:
            data = source.recv(1 << 20)
        except OSError:
            data = b""
        on_the_way.put((time.monotonic() + delay_s, data))
