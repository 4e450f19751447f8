"""What processes of a run load ahead: nothing that is not there, which nobody would be told of."""

from __future__ import annotations

import importlib

import pytest

from simulator.lab.engines import LOADED, TORCH


@pytest.mark.parametrize("module", [LOADED, TORCH])
def test_it_can_be_imported(module: str) -> None:
    importlib.import_module(module)
