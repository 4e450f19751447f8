"""The whole loop through a real Kafka broker, over its rate on the embedded log."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.loop import loop_rate, scenario
from benchmarks.output import arguments, show
from reloop_stream.log.broker import Broker


def main() -> None:
    chosen = arguments(__doc__)
    raw = scenario()
    embedded, kafka = [], []
    with tempfile.TemporaryDirectory(prefix="reloop-bench-") as folder, Broker(Path(folder)) as broker:
        for _ in range(chosen.pairs):
            embedded.append(loop_rate(raw)["rate"])
            kafka.append(loop_rate(raw, broker.address)["rate"])
    show(
        {
            "kafka_ratio": statistics.median(b / a for a, b in zip(embedded, kafka, strict=True)),
            "embedded_exposures_per_s": statistics.median(embedded),
            "kafka_exposures_per_s": statistics.median(kafka),
        },
        chosen.json,
    )


if __name__ == "__main__":
    main()
