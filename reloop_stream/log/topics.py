"""The names of the topics."""

from __future__ import annotations

__all__ = ["TOPICS", "topic_name"]

TOPICS = ("exposures", "clicks", "examples", "snapshots", "metrics", "dead-letters")


def topic_name(prefix: str, topic: str) -> str:
    """The topic's full name; an empty prefix leaves it bare.

    >>> topic_name("run1", "clicks"), topic_name("", "clicks")
    ('run1.clicks', 'clicks')
    """
    return f"{prefix}.{topic}" if prefix else topic
