"""The names of the topics."""

from __future__ import annotations

from typing import NamedTuple, Self

__all__ = ["TOPICS", "Topics"]


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
