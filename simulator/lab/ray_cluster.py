"""A Ray cluster that is there already: finding the package, and being connected to it for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from reloop_stream.errors import ConfigError

__all__ = ["connected", "import_ray"]


def import_ray() -> Any:
    """The package. Raises ConfigError where it is not installed."""
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigError("--engine ray: Ray is not installed; pip install 'reloop-stream[ray]'") from None
    return ray


@contextlib.contextmanager
def connected(ray: Any, address: str) -> Iterator[None]:
    """Within it this process is connected; one that is so already stays so.

    address: HOST:PORT of the head; `auto` is the cluster of this machine. Raises ConfigError where there is none.
    """
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"--ray-address {address}: no cluster answers there ({str(error).splitlines()[0]}); `ray start --head` begins one"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()
