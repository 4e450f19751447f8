"""python -m simulator watch: the page of a run while it goes on."""

from __future__ import annotations

import argparse
import contextlib
import time
import webbrowser
from pathlib import Path
from typing import Any

from reloop_stream.errors import SettingsError
from reloop_stream.runtime.exits import OK
from reloop_stream.runtime.stopping import stop_on_signals

__all__ = ["add_parser"]

NAP_S = 0.2
MOST_PORT = 65_535


def add_parser(commands: Any) -> None:
    """Add `watch` to the subparsers."""
    parser = commands.add_parser(
        "watch",
        help="serve a run's page while it goes on",
        description="Serve the page of a run on this machine alone, with the days that are done; it changes as more are. "
        "Ctrl-C ends it, and not the run.",
        epilog="example: python -m simulator watch runs/try --open",
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="its folder; the run may be going on, or be over")
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="(default: any that is free)")
    parser.add_argument("--baseline", metavar="NAME", help="the arm to compare the others with (default: the first)")
    parser.add_argument("--open", action="store_true", help="open it in a browser")
    parser.set_defaults(carry_out=_watch)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > MOST_PORT:
        raise argparse.ArgumentTypeError(f"got {text}, must be a whole number from 0 to {MOST_PORT}")
    return int(text)


def _watch(chosen: argparse.Namespace) -> int:
    from simulator.readout.report.live import HOST, LiveRun, serve
    from simulator.run_folder.progress import progress_of

    far = progress_of(chosen.run_dir)
    if chosen.baseline is not None and chosen.baseline not in far.arms:
        raise SettingsError(f"--baseline: got {chosen.baseline!r}, the arms are {', '.join(far.arms)}")
    with stop_on_signals("the page; a run goes on") as stop, contextlib.ExitStack() as serving:
        try:
            address = serving.enter_context(serve(LiveRun(chosen.run_dir, chosen.baseline), chosen.port))
        except OSError as error:
            raise SettingsError(
                f"--port {chosen.port}: cannot be had on {HOST}: {error.strerror}; without --port, any that is free is taken"
            ) from None
        print(address, flush=True)
        if chosen.open:
            webbrowser.open(address)
        while not stop():
            time.sleep(NAP_S)
    return OK
