"""The names of the topics."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

__all__ = ["TOPICS", "TOPIC_NAME_RULE", "Topics", "is_topic_name"]

TOPIC_NAME_RULE = "letters a-z and A-Z, digits, '.', '_' and '-', at most 249 in all"


def is_topic_name(name: str) -> bool:
    """Whether Kafka can have a topic of that name.

    >>> is_topic_name("run-1.exposures"), is_topic_name("mein Lauf ü.exposures"), is_topic_name("..")
    (True, False, False)
    """
    return re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", name) is not None and name not in (".", "..")


class Topics(NamedTuple):
    """What the topics of one stream are called. A worker reads the first two and appends to the others.

    >>> Topics.of("run1").clicks, Topics.of("").dead_letters
    ('run1.clicks', 'dead-letters')
    """

    exposures: str
    clicks: str
    examples: str
    snapshots: str
    metrics: str
    dead_letters: str

    @classmethod
    def of(cls, prefix: str) -> Self:
        """The usual names behind a prefix; an empty one leaves them bare."""
        return cls(*(f"{prefix}.{name}" if prefix else name for name in TOPICS))


TOPICS = ("exposures", "clicks", "examples", "snapshots", "metrics", "dead-letters")
