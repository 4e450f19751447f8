"""Where a run may live: names that topics can have, and topics that are nobody else's."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from reloop_stream.log import Partition, open_log
from simulator.__main__ import main
from simulator.errors import RunFolderError
from simulator.lab.place import RunPlace
from simulator.scenario import LogConfig

SETTINGS = LogConfig()


@pytest.mark.parametrize("name", ["mein Lauf ü", "a/b", "ä", "x" * 238])
def test_a_name_that_topics_cannot_have_is_refused_without_asking_a_broker(name: str) -> None:
    with pytest.raises(RunFolderError, match=r"--out: got .* letters a-z and A-Z"):
        RunPlace(Path("run"), "kafka://127.0.0.1:1", name).check(SETTINGS, {})


def test_any_name_will_do_for_a_log_in_the_run_folder() -> None:
    RunPlace(Path("run"), "embedded", "mein Lauf ü").check(SETTINGS, {})


@pytest.mark.kafka
def test_topics_of_another_run_are_refused(kafka_url: str, tmp_path: Path) -> None:
    place = RunPlace(tmp_path / "run", kafka_url, f"run-{uuid.uuid4().hex[:8]}")
    place.check(SETTINGS, {})
    with open_log(kafka_url) as log:
        log.create_topics(dict.fromkeys(place.topics, 2))
        place.check(SETTINGS, {})  # made by hand, say
        mine = log.topic_ids(place.topics)
        producer = log.producer()
        producer.append(Partition(place.topics.clicks, 1), b"somebody's")
        producer.close()
        with pytest.raises(RunFolderError, match=rf"--out: {place.topics.clicks} on {kafka_url} holds records already"):
            place.check(SETTINGS, {})
        place.check(SETTINGS, mine)
        with pytest.raises(RunFolderError, match="is not this run's, but made later or elsewhere"):
            place.check(SETTINGS, {**mine, place.topics.metrics: mine[place.topics.clicks]})
        log.delete_topics(place.topics)
    with pytest.raises(RunFolderError, match="is not there"):
        place.check(SETTINGS, mine)


@pytest.mark.kafka
def test_a_run_is_refused_before_it_has_a_folder(
    kafka_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"run-{uuid.uuid4().hex[:8]}"
    exposures = Partition(f"{out.name}.exposures", 0)
    with open_log(kafka_url) as log:
        log.create_topics({exposures.topic: 2})
        producer = log.producer()
        producer.append(exposures, b"{}")
        producer.close()
    assert main(["run", "quickstart", "--log", kafka_url, "--out", str(out)]) == 2
    assert "holds records already" in capsys.readouterr().err and not out.exists()
