"""Models and losses that users add: registered under a name by a Python file of their own, which only they can name.

A configuration names its files under `plugins`, a command line with `--plugin`. Snapshots, checkpoints and events hold names
alone, and a name that is not registered is an error: bytes from elsewhere never import anything.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from reloop_stream.errors import PluginError

__all__ = ["get", "known", "load", "register_loss", "register_model"]

PluginKind = Literal["model", "loss"]
T = TypeVar("T")

_registered: dict[tuple[PluginKind, str], Any] = {}
_loaded: set[Path] = set()


def register_model(name: str) -> Callable[[T], T]:
    """Make a subclass of `reloop_stream.models.CtrModel` available as `model: {name: ...}`."""
    return _registering("model", name)


def register_loss(name: str) -> Callable[[T], T]:
    """Make a function available as `loss: {name: ...}`; see `reloop_stream.losses.Loss` for what it takes and returns."""
    return _registering("loss", name)


def _registering(kind: PluginKind, name: str) -> Callable[[T], T]:
    def register(thing: T) -> T:
        _registered[kind, name] = thing
        return thing

    return register


def get(kind: PluginKind, name: str) -> Any:
    """What is registered under the name. Raises KeyError."""
    return _registered[kind, name]


def known(kind: PluginKind, name: str, built_in: Sequence[str]) -> str:
    """The name, if it is one of the package's or a plugin's. Raises ValueError naming them."""
    added = sorted(one for of, one in _registered if of == kind)
    if name in built_in and name in added:
        raise ValueError(f"got {name!r}, which is the package's own and a plugin's too; give the plugin's another name")
    if name not in built_in and name not in added:
        raise ValueError(
            f"got {name!r}, must be one of {', '.join([*built_in, *added])}, or a {kind} of a file named under `plugins`"
        )
    return name


def load(paths: Iterable[str | Path]) -> None:
    """Run each file, once in a process. Raises PluginError, also where two of them mean two things by one name."""
    by_file: dict[tuple[PluginKind, str], Path] = {}
    for path in map(Path, paths):
        resolved = path.resolve()
        if resolved in _loaded:
            continue
        name = f"reloop_stream_plugin_{len(_loaded)}_{resolved.stem}"
        spec = importlib.util.spec_from_file_location(name, resolved)
        if spec is None or spec.loader is None or not resolved.is_file():
            raise PluginError(f"{path}: no such Python file")
        before = dict(_registered)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise PluginError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
        added = [key for key, thing in _registered.items() if before.get(key) is not thing]
        if twice := next((key for key in added if key in by_file), None):
            raise PluginError(f"{path}: registers the {' '.join(twice)}, as {by_file[twice]} does; rename one of them")
        by_file |= dict.fromkeys(added, path)
        _loaded.add(resolved)
