"""python -m reloop_stream learn: a learner on anyone's topics of stamped exposures and clicks."""

from __future__ import annotations

import argparse
import contextlib
import math
from functools import partial
from pathlib import Path
from typing import Any

from reloop_stream import plugins
from reloop_stream.commands.arguments import add_place, log_place, positive, whole
from reloop_stream.config import LOSSES, MODELS, apply_overrides, in_file, read_mapping, read_yaml, validated
from reloop_stream.config.yaml_files import Location
from reloop_stream.errors import ConfigError, DivergedError, LogError, LogUnavailable, UnknownTopic
from reloop_stream.log import EventLog, LogPlace
from reloop_stream.log.topics import TOPIC_NAME_RULE, Topics, is_topic_name
from reloop_stream.runtime.exits import FAILED, INTERRUPTED, OK, USERS_MISTAKE, say, tell
from reloop_stream.runtime.stopping import Stop, stop_on_signals
from reloop_stream.runtime.torch_state import one_thread
from reloop_stream.service.config import StreamConfig, differences, load_config, save_config
from reloop_stream.service.inference import Inferred, first_exposures, infer
from reloop_stream.service.learner_folder import LearnerFolder
from reloop_stream.service.service import NoLongerRetained, PartitionWatch, Service, open_source
from reloop_stream.service.stream_progress import StreamProgress
from reloop_stream.serving.publisher import SnapshotPublisher
from reloop_stream.stream.event_feed import FeedStopped
from reloop_stream.stream.intake import IDS
from reloop_stream.stream.join import Emit
from reloop_stream.stream.shared_source import ReaderDied

__all__ = ["add_parser", "run"]

EMITS: tuple[Emit, ...] = ("at_close", "at_click", "at_once")

DESCRIPTION = """\
Learn from a stream: join exposures with their clicks, learn from the joined examples, publish versions and metrics.

Exposures and clicks lie in two topics with the same number of partitions; an exposure and its clicks are in the same
partition number of both. Records are JSON or arrow; docs/events.md has the fields. The fields that the model sees, the
types of their values and the base rate are taken from the first exposures where they are not given, and then stay.

DIR, the folder of --checkpoint, holds all that the learner is: learner.yaml (its settings, fixed at the first start),
checkpoint (its state and the next offsets, one object) and snapshots/. Started again with the same command it goes on
where it stopped, however it stopped: no example is lost, and none is learnt twice. SIGTERM or Ctrl-C ends it in order,
a second one at once.
"""
EXAMPLES = """\
examples:
  the ReLoop loss on two topics of a broker:
    python -m reloop_stream learn --bootstrap localhost:9092 --exposures exposures --clicks clicks \\
        --model deepfm --loss reloop --alpha 0.2 --checkpoint learner/
  with TLS and a password from the environment:
    ... --kafka security_protocol=SASL_SSL --kafka sasl_mechanism=SCRAM-SHA-512 \\
        --kafka sasl_plain_username=me --kafka sasl_plain_password=env:KAFKA_PASSWORD
  retrain daily on a sliding window of three days, one arm's rows alone:
    ... --arm treatment --set 'updating={mode: window, days: 3, every_hours: 24}'
  what is there, to its end, four processes sharing the partitions:
    ... --until-end --workers 4
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "learn",
        help="learn from a stream of exposures and clicks, and publish what was learnt",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stream = parser.add_argument_group("the stream")
    stream.add_argument("--exposures", required=True, metavar="TOPIC")
    stream.add_argument("--clicks", required=True, metavar="TOPIC")
    add_place(stream, required=True)

    join = parser.add_argument_group("joining")
    join.add_argument(
        "--attribution-minutes",
        type=positive,
        default=60.0,
        metavar="M",
        help="a click counts up to so long after its exposure (default: 60)",
    )
    join.add_argument(
        "--emit",
        choices=EMITS,
        default="at_close",
        help="when labels come: both when the window closes (default), 1 at the click, or 0 at serving and "
        "1 again at the click",
    )
    join.add_argument(
        "--early-seconds",
        type=_seconds,
        default=1.0,
        metavar="S",
        help="a click counts up to so long before its exposure, for clocks differ (default: 1)",
    )
    join.add_argument(
        "--max-ahead-minutes",
        type=_minutes_or_off,
        default=60.0,
        metavar="M",
        help="an event whose time lies further beyond its record's own Kafka timestamp is a dead letter, for it would "
        "move its partition's clock for good (default: 60; off: whatever it says, as in a replay)",
    )
    join.add_argument(
        "--tick-seconds",
        type=positive,
        default=60.0,
        metavar="S",
        help="event time that is joined and learnt at once (default: 60)",
    )
    join.add_argument(
        "--idle-seconds",
        type=positive,
        default=30.0,
        metavar="S",
        help="a partition that has been silent for so long is not waited for (default: 30)",
    )

    learner = parser.add_argument_group("the learner")
    learner.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="its folder")
    learner.add_argument(
        "--name", default="reloop", help="its name, in outputs and as prefix of their topics (default: reloop)"
    )
    learner.add_argument("--model", metavar="NAME", help=f"{', '.join(MODELS)} or a plugin's (default: deepfm)")
    learner.add_argument("--loss", metavar="NAME", help=f"{', '.join(LOSSES)} or a plugin's (default: bce)")
    learner.add_argument("--alpha", type=float, metavar="A", help="weight of the loss's second part (default: 0.2)")
    learner.add_argument("--optimizer", metavar="NAME", help="adagrad (default), sgd, adam or ftrl")
    learner.add_argument("--lr", type=float, metavar="RATE", help="learning rate (default: 0.05)")
    learner.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML with the keys of a scenario's `learner`; flags win"
    )
    learner.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="one such key, as in updating.batch_size=256; may be given again; of two for a key the later holds",
    )
    learner.add_argument(
        "--fields",
        type=Path,
        metavar="FILE",
        help="YAML list of the fields that the model sees: name, kind, transform, edges, buckets, mode",
    )
    learner.add_argument(
        "--base-rate", type=float, metavar="P", help="what it predicts at first (default: the mean of the first stamps)"
    )
    learner.add_argument("--arm", metavar="NAME", help="train on the rows of this arm alone")
    learner.add_argument("--seed", type=int, default=1, metavar="N", help="of its first weights (default: 1)")
    learner.add_argument(
        "--plugin",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a Python file that adds a model or loss; runs as your code",
    )

    out = parser.add_argument_group("what it writes")
    out.add_argument(
        "--snapshots", type=Path, metavar="DIR", help="folder for published versions (default: DIR/snapshots)"
    )
    out.add_argument(
        "--keep", type=whole, default=5, metavar="N", help="versions that stay in that folder (default: 5)"
    )
    out.add_argument("--snapshots-topic", metavar="TOPIC", help="default: NAME.snapshots")
    out.add_argument("--metrics-topic", metavar="TOPIC", help="default: NAME.metrics")
    out.add_argument(
        "--dead-letters-topic", metavar="TOPIC", help="for records that cannot be read (default: NAME.dead-letters)"
    )
    out.add_argument("--examples-topic", metavar="TOPIC", help="for joined examples (default: they are not written)")
    out.add_argument("--group", metavar="NAME", help="consumer group whose offsets show the lag (default: NAME)")
    out.add_argument(
        "--checkpoint-seconds",
        type=positive,
        default=30.0,
        metavar="S",
        help="wall clock between checkpoints (default: 30)",
    )

    how = parser.add_argument_group("running")
    how.add_argument(
        "--workers",
        type=whole,
        default=1,
        metavar="N",
        help="processes that share reading and joining the partitions; one trains (default: 1, which does both)",
    )
    how.add_argument(
        "--until-end",
        action="store_true",
        help="end when all that the topics hold at the start has been read; what is later in the last tick then "
        "belongs to the next one",
    )
    how.add_argument(
        "--count", type=whole, metavar="N", help="end once N examples have been learnt since the first start"
    )
    how.add_argument("--timeout", type=positive, metavar="S", help="end after so many seconds")
    how.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _seconds(text: str) -> float:
    return 0.0 if text == "0" else positive(text)


def _minutes_or_off(text: str) -> float | None:
    return None if text == "off" else positive(text)


def run(chosen: argparse.Namespace) -> int:
    """Learn until the stream's end, a limit or a signal. The exit code."""
    plugins.load(chosen.plugin)
    place = log_place(chosen)
    if chosen.bootstrap is not None:
        _check_names(chosen)
    with (
        one_thread(),
        stop_on_signals("finishing what is complete", chosen.timeout or math.inf) as stop,
        place.open() as log,
        LearnerFolder(chosen.checkpoint) as folder,
    ):
        try:
            config = _settle(chosen, log, folder, stop)
            _learn(chosen, config, place, log, folder, stop)
        except FeedStopped:
            pass
        except (NoLongerRetained, ReaderDied) as error:
            return say(error, FAILED)
        except DivergedError as error:
            kept = f"{folder.path} keeps what it had learnt by its last checkpoint, and the versions published before"
            return say(f"{error}; {kept}; start anew with another --checkpoint DIR", USERS_MISTAKE)
        except LogUnavailable as error:
            return say(f"{error}; the same command then goes on where it stopped", FAILED)
        return INTERRUPTED if stop.was_ctrl_c else OK


def _learn(
    chosen: argparse.Namespace, config: StreamConfig, place: LogPlace, log: EventLog, folder: LearnerFolder, stop: Stop
) -> None:
    _create_outputs(config, log)
    publisher = SnapshotPublisher(
        config.learner,
        config.fields,
        folder=chosen.snapshots or folder.snapshots,
        log=log,
        topic=config.topics.snapshots,
        keep=chosen.keep,
    )
    watch = PartitionWatch(config, log, math.inf if chosen.until_end else chosen.checkpoint_seconds)
    source = open_source(
        config,
        place,
        log,
        idle_s=chosen.idle_seconds,
        until_end=chosen.until_end,
        workers=chosen.workers,
        should_stop=lambda: stop() or watch(),
    )
    with contextlib.closing(source), StreamProgress(quiet=chosen.quiet) as progress:
        service = Service(
            config,
            log,
            folder,
            source,
            publisher,
            group=chosen.group or config.name,
            checkpoint_s=chosen.checkpoint_seconds,
            stop=stop.was_asked,  # what has begun when the time is over is brought to its end
            watch=progress.show,
            is_over=watch,
        )
        with contextlib.closing(service):
            if not folder.settings.exists():
                save_config(folder.settings, config)  # only now: a start that failed leaves no settings behind
            saved = folder.read()
            if saved is not None:
                service.restore(saved)
            progress.begin(folder.path, service.worker)
            service.run(chosen.count)
            watch.check()


def _settle(chosen: argparse.Namespace, log: EventLog, folder: LearnerFolder, stop: Stop) -> StreamConfig:
    """The settings: those given, completed by those of the first start, or by what the first exposures say.

    Raises ConfigError where they contradict the first start.
    """
    recorded = load_config(folder.settings)
    raw = _given(chosen)
    inferred: dict[str, Any] = {}
    if recorded is not None:
        inferred = recorded.model_dump(mode="json", include={"fields", "types", "base_rate"})
    else:
        log.partitions(chosen.clicks)  # a misspelt topic should not wait for exposures
        found = infer(first_exposures(log, chosen.exposures, until_end=chosen.until_end, should_stop=stop))
        if not chosen.quiet and chosen.fields is None:
            _say_fields(chosen.exposures, found)
        inferred = {
            "fields": [field.model_dump(mode="json") for field in found.fields],
            "types": found.types,
            "base_rate": found.base_rate,
        }
    config = validated(StreamConfig, {**inferred, **raw}, partial(_where, chosen))
    # A number may come as an integer; and what the model does not see may be of any type.
    typed = {*IDS, *(f"features.{field.name}" for field in config.fields if field.kind != "number")}
    config = config.model_copy(update={"types": {name: of for name, of in config.types.items() if name in typed}})
    if recorded is not None and (different := differences(recorded, config)):
        raise ConfigError(
            "\n".join(f"{folder.settings}: {line}" for line in different)
            + "\na learner keeps the settings of its first start; use those, or another --checkpoint DIR"
        )
    return config


def _say_fields(topic: str, found: Inferred) -> None:
    """What was taken from the first exposures, for it stays: a price that is a whole number in all of them is no number here."""
    fields = ", ".join(
        f"{field.name} ({field.kind}{'' if of is None else f' of {of}s'})"
        for field, of in ((field, found.types.get(f"features.{field.name}")) for field in found.fields)
    )
    tell(f"fields, by the first of {topic}: {fields}; --fields says otherwise")


def _check_names(chosen: argparse.Namespace) -> None:
    """Raises ConfigError where a topic has a name that none can have, before there is a folder."""
    for flag in ("exposures", "clicks", "snapshots_topic", "metrics_topic", "dead_letters_topic", "examples_topic"):
        name = getattr(chosen, flag)
        if name is not None and not is_topic_name(name):
            raise ConfigError(f"--{flag.replace('_', '-')}: got {name!r}, a topic's name must be of {TOPIC_NAME_RULE}")


def _where(chosen: argparse.Namespace, location: Location) -> str:
    """What to call the place of a setting: a line of the file that it came from, where it came from one."""
    if location and location[0] == "learner" and chosen.config is not None:
        return in_file(chosen.config, location[1:], [*_flags(chosen), *chosen.overrides])
    if location and location[0] == "fields" and chosen.fields is not None:
        return in_file(chosen.fields, location[1:])
    return "settings"


def _flags(chosen: argparse.Namespace) -> dict[str, Any]:
    """The keys of a learner that have a flag of their own."""
    flags = {
        "model.name": chosen.model,
        "loss.name": chosen.loss,
        "loss.alpha": chosen.alpha,
        "optimizer.name": chosen.optimizer,
        "optimizer.lr": chosen.lr,
    }
    return {key: value for key, value in flags.items() if value is not None}


def _given(chosen: argparse.Namespace) -> dict[str, Any]:
    """What the command line says, in the shape of StreamConfig."""
    learner = apply_overrides({} if chosen.config is None else read_mapping(chosen.config), _flags(chosen))
    usual = Topics.of(chosen.name)
    given: dict[str, Any] = {
        "name": chosen.name,
        "topics": {
            "exposures": chosen.exposures,
            "clicks": chosen.clicks,
            "examples": chosen.examples_topic,
            "snapshots": chosen.snapshots_topic or usual.snapshots,
            "metrics": chosen.metrics_topic or usual.metrics,
            "dead_letters": chosen.dead_letters_topic or usual.dead_letters,
        },
        "arm": chosen.arm,
        "attribution_minutes": chosen.attribution_minutes,
        "emit": chosen.emit,
        "early_seconds": chosen.early_seconds,
        "max_ahead_minutes": chosen.max_ahead_minutes,
        "tick_seconds": chosen.tick_seconds,
        "seed": chosen.seed,
        "learner": apply_overrides(learner, chosen.overrides),
    }
    if chosen.base_rate is not None:
        given["base_rate"] = chosen.base_rate
    if chosen.fields is not None:
        given["fields"] = read_yaml(chosen.fields)
    return given


def _create_outputs(config: StreamConfig, log: EventLog) -> None:
    topics = config.topics
    for topic in (topics.examples, topics.snapshots, topics.metrics, topics.dead_letters):
        if topic is None:
            continue
        try:
            log.partitions(topic)
        except UnknownTopic:
            try:
                log.create_topics({topic: 1})
            except LogError as error:
                raise LogError(f"{topic}: cannot be created: {error}; create it by hand, with one partition") from None
