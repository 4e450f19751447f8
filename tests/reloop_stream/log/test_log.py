"""What every log promises, on each implementation; and the embedded one against crashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from reloop_stream.errors import LogError, OffsetOutOfRange, UnknownTopic
from reloop_stream.log import EventLog, Partition, Record
from reloop_stream.log.embedded import EmbeddedLog


def fill(log: EventLog, n: int, partitions: int = 2) -> list[Partition]:
    topic = f"t{uuid.uuid4().hex[:8]}"
    log.create_topics({topic: partitions})
    places = log.partitions(topic)
    producer = log.producer()
    for i in range(n):
        producer.append(places[i % partitions], b"v%d" % i, key=None if i % 3 else b"k", headers={"h": b"%d" % i})
    producer.flush()
    producer.close()
    return places


def drain(log: EventLog, offsets: dict[Partition, int], n: int) -> list[Record]:
    reader = log.reader(offsets)
    found: list[Record] = []
    deadline = time.monotonic() + 15
    while len(found) < n and time.monotonic() < deadline:
        found += reader.poll(0.2)
    reader.close()
    return found


def test_records_come_back_whole_and_in_order(log: EventLog) -> None:
    places = fill(log, 40)
    found = drain(log, log.begin_offsets(places), 40)
    assert len(found) == 40
    for number, place in enumerate(places):
        mine = [record for record in found if record.partition == place]
        assert [record.value for record in mine] == [b"v%d" % i for i in range(number, 40, 2)]
        assert [record.offset for record in mine] == list(range(20))
        assert all(record.headers["h"] == record.value[1:] for record in mine)
        assert all(record.key == (None if int(record.value[1:]) % 3 else b"k") for record in mine)


def test_what_waits_for_more_is_there_behind_the_next_record_and_after_a_flush(log: EventLog) -> None:
    one, other = fill(log, 0)
    producer = log.producer()
    producer.append(one, b"a", more=True)
    producer.append(other, b"b", more=True)
    producer.append(one, b"c")  # into what holds the first already
    assert sorted(record.value for record in drain(log, {one: 0, other: 0}, 3)) == [b"a", b"b", b"c"]
    producer.append(other, b"d", more=True)
    producer.flush()
    assert log.end_offsets([one, other]) == {one: 2, other: 2}
    producer.append(one, b"e", more=True)
    producer.close()
    assert log.end_offsets([one]) == {one: 3}


def test_a_producer_that_is_closed_leaves_the_others(log: EventLog) -> None:
    log.create_topics({"several": 2})
    one, other = log.producer(), log.producer()
    one.append(Partition("several", 0), b"a")
    other.append(Partition("several", 1), b"b")
    one.close()
    one.close()
    other.append(Partition("several", 1), b"c")
    other.flush()
    other.close()
    third = log.producer()
    third.append(Partition("several", 0), b"d")
    third.close()
    found = drain(log, log.begin_offsets(log.partitions("several")), 4)
    assert sorted((record.partition.number, record.value) for record in found) == [
        (0, b"a"),
        (0, b"d"),
        (1, b"b"),
        (1, b"c"),
    ]


def test_reading_begins_at_the_offset_asked_for(log: EventLog) -> None:
    (place,) = fill(log, 10, partitions=1)
    assert [r.value for r in drain(log, {place: 7}, 3)] == [b"v7", b"v8", b"v9"]
    assert log.end_offsets([place]) == {place: 10}


def test_a_paused_partition_is_left_out_until_it_is_not(log: EventLog) -> None:
    one, other = fill(log, 20)
    reader = log.reader(log.begin_offsets([one, other]))
    reader.pause([one])
    found: list[Record] = []
    deadline = time.monotonic() + 15
    while len(found) < 10 and time.monotonic() < deadline:
        found += reader.poll(0.2)
    assert {record.partition for record in found} == {other} and reader.poll(0.2) == []
    assert reader.position() == {one: 0, other: 10}
    reader.pause([])
    while len(found) < 20 and time.monotonic() < deadline:
        found += reader.poll(0.2)
    assert [record.offset for record in found if record.partition == one] == list(range(10))
    reader.close()


def test_an_offset_beyond_the_end_fails_loudly(log: EventLog) -> None:
    (place,) = fill(log, 3, partitions=1)
    with pytest.raises(OffsetOutOfRange, match="offset 9 is not retained"):
        log.reader({place: 9})


def test_an_unknown_topic_is_named(log: EventLog) -> None:
    with pytest.raises(UnknownTopic, match="nowhere"):
        log.partitions("nowhere")


def test_creating_a_topic_again_is_fine_unless_its_partitions_differ(log: EventLog) -> None:
    topic = fill(log, 1)[0].topic
    log.create_topics({topic: 2})
    with pytest.raises(LogError, match="2 partitions, asked for 3"):
        log.create_topics({topic: 3})


def test_a_reader_sees_what_is_appended_later(log: EventLog) -> None:
    (place,) = fill(log, 1, partitions=1)
    reader, producer = log.reader({place: 1}), log.producer()
    assert reader.poll(0.05) == []
    producer.append(place, b"new")
    producer.flush()
    found: list[Record] = []
    deadline = time.monotonic() + 10
    while not found and time.monotonic() < deadline:
        found = reader.poll(0.2)
    assert [r.value for r in found] == [b"new"] and reader.position() == {place: 2}
    producer.close()
    reader.close()


def test_deleted_topics_are_gone(log: EventLog) -> None:
    topic = fill(log, 1)[0].topic
    log.delete_topics([topic, "never-was"])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            log.partitions(topic)
        except UnknownTopic:
            return
        time.sleep(0.1)
    pytest.fail("the topic is still there")


def embedded(folder: Path, n: int = 6, segment_bytes: int = 1 << 20) -> tuple[EmbeddedLog, Partition]:
    log = EmbeddedLog(folder, segment_bytes=segment_bytes)
    log.create_topics({"t": 1})
    producer = log.producer()
    for i in range(n):
        producer.append(Partition("t", 0), b"value-%03d" % i, headers={"h": b"x"})
    producer.close()
    return log, Partition("t", 0)


def test_a_frame_torn_at_any_byte_is_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    log, place = embedded(tmp_path)
    segment = tmp_path / "t" / "0" / f"{0:020d}.log"
    whole = segment.read_bytes()
    frame = len(whole) // 6
    for torn in range(1, frame):
        segment.write_bytes(whole[: len(whole) - torn])
        assert log.end_offsets([place]) == {place: 5}
        assert len(drain(log, {place: 0}, 5)) == 5
        producer = log.producer()
        producer.append(place, b"after")
        producer.close()
        assert [r.value for r in drain(log, {place: 4}, 2)] == [b"value-004", b"after"]
        segment.write_bytes(whole)


def test_damage_in_the_middle_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    log, place = embedded(tmp_path)
    segment = tmp_path / "t" / "0" / f"{0:020d}.log"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2 + 4] ^= 0xFF
    segment.write_bytes(data)
    with pytest.raises(LogError, match=r"00\.log: damaged at byte \d+"):
        drain(log, {place: 0}, 6)


def test_retention_drops_whole_segments_and_reading_them_fails_loudly(tmp_path: Path) -> None:
    log, place = embedded(tmp_path, n=50, segment_bytes=400)
    log.delete_before({place: 30})
    begin = log.begin_offsets([place])[place]
    assert 0 < begin <= 30
    assert [r.offset for r in drain(log, {place: begin}, 50 - begin)] == list(range(begin, 50))
    with pytest.raises(OffsetOutOfRange):
        log.reader({place: 0})


def test_two_writers_of_one_partition_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reloop_stream.log.partition_files.LOCK_PATIENCE_S", 0.1)
    log, place = embedded(tmp_path)
    first, second = log.producer(), log.producer()
    first.append(place, b"mine")
    with pytest.raises(LogError, match="being written by another process"):
        second.append(place, b"yours")
    first.close()


WRITER = """
import sys
from pathlib import Path
from reloop_stream.log import Partition
from reloop_stream.log.embedded import EmbeddedLog
log = EmbeddedLog(Path(sys.argv[1]), segment_bytes=20_000)
log.create_topics({"t": 1})
producer, i = log.producer(), log.end_offsets([Partition("t", 0)])[Partition("t", 0)]
print("ready", flush=True)
while True:
    producer.append(Partition("t", 0), b"%d" % i * 50)
    i += 1
"""


def test_a_writer_killed_at_any_moment_leaves_a_log_without_gap_or_copy(tmp_path: Path) -> None:
    place = Partition("t", 0)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.15)
            os.kill(process.pid, signal.SIGKILL)
    log = EmbeddedLog(tmp_path)
    end = log.end_offsets([place])[place]
    found = drain(log, {place: 0}, end)
    assert end > 100 and [r.value for r in found] == [b"%d" % i * 50 for i in range(end)]
