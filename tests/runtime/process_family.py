"""A pod's processes, where the namespace is the whole machine: main is one process and its descendants."""

from flywheel_runtime.contract.processes import PodProcesses, living_processes

NOBODY = PodProcesses(main={}, watch_runs=False, unknown=frozenset(), containers=frozenset())


class ProcessFamily:
    """Reads the pod of one main. `watch_runs` is said of the container watch."""

    def __init__(self, pid: int, *, watch_runs: bool = False) -> None:
        self.family = {pid}
        self.watch_runs = watch_runs

    def read(self) -> PodProcesses:
        everyone = {process.pid: process for process in living_processes()}
        for process in sorted(everyone.values(), key=lambda process: process.started):
            if process.parent in self.family:
                self.family.add(process.pid)
        main = {pid: everyone[pid] for pid in self.family if pid in everyone}
        return PodProcesses(main, self.watch_runs, frozenset(), frozenset({"main"} if main else ()))
