"""The broker of a checkout's docker-compose.kafka.yml, for machines that have Docker and no Java."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Self

from reloop_stream.log.broker import free_ports

__all__ = ["COMPOSE_FILE", "ComposedBroker"]

COMPOSE_FILE = Path(__file__).parent.parent.parent / "docker-compose.kafka.yml"
PATIENCE_S = 300.0  # the first start downloads the image


class ComposedBroker:
    """It has a port and a name of its own, so that several can live side by side."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        project = f"reloop-{folder.name.lower()}-{self.port}"
        self._compose = ["docker", "compose", "-f", str(COMPOSE_FILE), "-p", project]

    @property
    def address(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    def _do(self, *command: str) -> None:
        environment = {**os.environ, "RELOOP_KAFKA_PORT": str(self.port)}
        done = [*self._compose, *command]
        subprocess.run(done, env=environment, check=True, capture_output=True, timeout=PATIENCE_S)

    def start(self) -> Self:
        self._do("up", "--detach", "--wait", "broker")
        return self

    def kill(self) -> None:
        self._do("kill", "broker")

    def stop(self) -> None:
        self._do("down", "--volumes")
