"""Functions compiled by numba: kept on disk for the next process where a cache can be written, else compiled in each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import numba

from reloop_stream.runtime.processes import speaks_for_all

__all__ = ["compiled"]

logger = logging.getLogger(__name__)


def compiled(function: Callable[..., Any]) -> Any:
    """`numba.njit`, cached where that is possible. What it returns is numba's own: a call costs nothing more.

    Division is numpy's, by zero too: to look for a zero before each one would keep loops from being vectorised.
    """
    try:
        return numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # "no locator available": neither beside the module nor in the user's cache may it write
        _say_that_nothing_is_cached()
        return numba.njit(function, error_model="numpy")


@cache
def _say_that_nothing_is_cached() -> None:
    if speaks_for_all():
        logger.warning(
            "compiled code cannot be kept here, so each process compiles it anew, for some seconds; "
            "set NUMBA_CACHE_DIR to a folder that can be written to"
        )
