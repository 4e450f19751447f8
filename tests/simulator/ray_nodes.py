"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["ray_nodes"]


@contextlib.contextmanager
def ray_nodes() -> Iterator[Any]:
    """A head that does no work, and three nodes of a processor each. While it is there, whoever looks for a cluster finds it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.cluster_utils import Cluster

        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(3):
            found.add_node(num_cpus=1)
        found.wait_for_nodes()
        yield found
        found.shutdown()
