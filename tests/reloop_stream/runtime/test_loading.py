"""What is loaded is not looked through for garbage, and a program around us finds its collector as it left it."""

from __future__ import annotations

import gc

from reloop_stream.runtime.loading import loading, sparing


def test_no_garbage_is_collected_while_loading() -> None:
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_was_there_is_spared_for_a_while() -> None:
    with sparing():
        assert gc.get_freeze_count() > 1000
    assert not gc.get_freeze_count()


def test_what_the_program_set_aside_stays_so() -> None:
    gc.freeze()
    try:
        with sparing():
            pass
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
