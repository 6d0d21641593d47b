"""Which worker runs which file of tests, also when a worker has died."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController


class Files(LoadFileScheduling):
    """Files go to workers as a whole, and what a dead one leaves is run to its end.

    A worker begins a test when it knows the next one. xdist may leave one waiting for ever with its last test: it gives
    the files of a dead worker to others also where all their tests were run, and one file to a new worker, even if that
    has one test only; and it fails where a new worker is given files before it has found its tests.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        for scope in [scope for scope, unit in self.workqueue.items() if all(unit.values())]:
            del self.workqueue[scope]
        if self.workqueue:
            super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if node not in self.registered_collections:  # it is new, and has not said yet which tests it found
            return
        super()._reschedule(node)
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)
