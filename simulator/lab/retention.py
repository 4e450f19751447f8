"""What may go while a run goes on: events and versions that no restart of any of its learners and servers can ask for."""

from __future__ import annotations

from reloop_stream.log import Partition
from simulator.experiment.stages import Stage
from simulator.lab.parts import Lab
from simulator.lab.reports import Saved, ServerSaved

__all__ = ["Retention"]


class Retention:
    """Of one stage: it hears of every checkpoint, and deletes what is older than the oldest of them needs."""

    def __init__(self, lab: Lab, stage: Stage) -> None:
        self._lab = lab
        self._learners = {role.name for role in stage.learning}
        self._events: dict[str, dict[Partition, int]] = {}  # by learner
        self._versions: dict[str, dict[str, int]] = {}  # by learner and server
        self._servers = {name: sum(role.learner == name for role in stage.serving) for name in self._learners}
        # Counterfactual launches read the window before the fork again, after the end of the run.
        scenario = lab.scenario
        self._keeps_events = scenario.log.retention == "all" or scenario.truth.launch

    def server_saved(self, saved: ServerSaved) -> None:
        of_servers = self._versions.setdefault(saved.learner, {})
        of_servers[saved.server] = saved.needed
        if len(of_servers) == self._servers[saved.learner]:
            self._lab.version_files.forget(saved.learner, min(of_servers.values()))

    def learner_saved(self, saved: Saved) -> None:
        """`log.retention: window`: a partition that some learners read may go up to where the first of them is."""
        if self._keeps_events:
            return
        self._events[saved.learner] = dict(saved.needed)
        if self._events.keys() < self._learners:
            return
        earliest: dict[Partition, int] = {}
        for offsets in self._events.values():
            for partition, at in offsets.items():
                earliest[partition] = min(at, earliest.get(partition, at))
        self._lab.log.delete_before(earliest)
