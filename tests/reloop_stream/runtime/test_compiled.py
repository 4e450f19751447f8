"""Compiled functions, where nothing can be kept on disk."""

from __future__ import annotations

from typing import Any

import pytest

from reloop_stream.runtime import compiled as module
from reloop_stream.runtime.compiled import compiled


def test_without_a_place_for_its_cache_it_works_and_says_once_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    module._say_that_nothing_is_cached.cache_clear()
    scope: dict[str, Any] = {}
    exec("def double(x): return 2 * x\ndef triple(x): return 3 * x", scope)  # of no file, which numba cannot cache
    assert compiled(scope["double"])(2) == 4 and compiled(scope["triple"])(2) == 6
    (said,) = caplog.messages
    assert "set NUMBA_CACHE_DIR to a folder" in said
