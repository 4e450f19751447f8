"""The whole loop through a real Kafka broker, over its rate on the embedded log; µs of core an exposure of either, and of the
broker's (on Linux). The broker has served a run before, as one that others use has: its own start is not counted."""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.loop import COST, loop_rate, scenario
from benchmarks.output import arguments, show
from reloop_stream.log.broker import Broker

USER_AND_SYSTEM = slice(11, 13)  # among the fields of /proc/PID/stat behind the name


def _cpu_s(pid: int) -> float:
    """Seconds of core that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[USER_AND_SYSTEM])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    chosen = arguments(__doc__)
    raw = scenario()
    embedded, kafka, brokers = [], [], []
    with tempfile.TemporaryDirectory(prefix="reloop-bench-") as folder, Broker(Path(folder)) as broker:
        loop_rate(raw, broker.address)
        for _ in range(chosen.pairs):
            embedded.append(loop_rate(raw))
            before_s = _cpu_s(broker.pid)
            kafka.append(loop_rate(raw, broker.address))
            brokers.append(1e6 * (_cpu_s(broker.pid) - before_s) / kafka[-1]["exposures"])
    show(
        {
            "kafka_ratio": statistics.median(b["rate"] / a["rate"] for a, b in zip(embedded, kafka, strict=True)),
            "embedded_exposures_per_s": statistics.median(found["rate"] for found in embedded),
            "kafka_exposures_per_s": statistics.median(found["rate"] for found in kafka),
            "us_embedded": statistics.median(found[COST] for found in embedded),
            "us_kafka": statistics.median(found[COST] for found in kafka),
            "us_broker": statistics.median(brokers),
        },
        chosen.json,
    )


if __name__ == "__main__":
    main()
