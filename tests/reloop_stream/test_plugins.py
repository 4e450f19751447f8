"""Plugins: one name, one thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from reloop_stream import plugins
from reloop_stream.config import LossConfig
from reloop_stream.errors import PluginError

FILE = "from reloop_stream.plugins import register_loss\n@register_loss({name!r})\ndef loss(): ...\n"


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_registered", {})


def test_two_files_that_register_one_name_are_a_mistake_that_names_the_file(tmp_path: Path) -> None:
    for file in ("a.py", "b.py"):
        (tmp_path / file).write_text(FILE.format(name="mine"))
    with pytest.raises(PluginError, match=r"b.py: registers the loss mine, as .*a.py does; rename one of them"):
        plugins.load([tmp_path / "a.py", tmp_path / "a.py", tmp_path / "b.py"])


def test_a_plugin_s_name_is_not_the_package_s() -> None:
    plugins.register_loss("reloop")(print)
    with pytest.raises(ValueError, match="got 'reloop', which is the package's own and a plugin's too"):
        LossConfig(name="reloop")
