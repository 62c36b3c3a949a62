"""Which processes are main's, where the namespace is the whole machine."""

from flywheel_runtime.commands.collect.processes import Process


class Descendants:
    """Here the namespace is the whole machine: main is one process and its descendants."""

    def __init__(self, pid: int) -> None:
        self.family = {pid}

    def __call__(self, everyone: dict[int, Process], others: list[int]) -> dict[int, Process]:
        for process in sorted(everyone.values(), key=lambda process: process.started):
            if process.parent in self.family:
                self.family.add(process.pid)
        return {pid: everyone[pid] for pid in self.family if pid in everyone}
