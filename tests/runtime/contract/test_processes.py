"""Which processes of the pod are main's, by what another user may read of them, on cgroup v1 and v2."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flywheel_runtime.contract.processes import Process, ProcessTable, living_processes, open_pidfds, read_exit_code

V1 = "12:memory:/kubepods/pod7/{0}\n1:name=systemd:/kubepods/pod7/{0}\n"
V2 = "0::/../cri-containerd-{0}.scope\n"
MAIN_MOUNTS = "800 700 0:52 / / rw - overlay overlay rw\n801 800 8:1 /pods/7/flywheel /flywheel ro - ext4 /dev/sda rw\n"
WATCH_MOUNTS = MAIN_MOUNTS + "802 801 8:1 /pods/7/flywheel/watch /flywheel/watch rw - ext4 /dev/sda rw\n"
PAUSE, COLLECT, WATCH, MAIN, WORKER = 1, 7, 50, 30, 31
CREDENTIALS, USER, PREPARING, ROOT = "65531 65531", "65532 65532", "65532 65531", "0 0"


class Proc:
    """A /proc with the processes of a pod."""

    def __init__(self, folder: Path, cgroup: str) -> None:
        self.folder, self.cgroup = folder, cgroup

    def add(self, pid: int, container: str, ids: str, *, parent: int = 0, mounts: str = MAIN_MOUNTS) -> None:
        user, group = ids.split()
        folder = self.folder / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "stat").write_text(f"{pid} (a) R (b) S {parent} " + "0 " * 17 + "200 0 0")
        (folder / "cgroup").write_text(self.cgroup.format(container))
        (folder / "status").write_text(
            f"Name:\tx\nUid:\t{user}\t{user}\t{user}\t{user}\nGid:\t{group}\t{group}\t{group}\t{group}\n"
        )
        (folder / "mountinfo").write_text(mounts)

    def remove(self, pid: int) -> None:
        for file in (self.folder / str(pid)).iterdir():
            file.unlink()
        (self.folder / str(pid)).rmdir()


@pytest.fixture(params=[pytest.param(V1, id="cgroup v1"), pytest.param(V2, id="cgroup v2")])
def proc(request: pytest.FixtureRequest, tmp_path: Path) -> Proc:
    made = Proc(tmp_path, request.param)
    made.add(PAUSE, "pause", CREDENTIALS)
    made.add(COLLECT, "collect", CREDENTIALS)
    return made


def test_main_is_the_container_with_its_user_that_is_not_watch(proc: Proc) -> None:
    proc.add(MAIN, "main", USER)
    proc.add(WORKER, "main", USER, parent=MAIN)
    proc.add(WATCH, "watch", USER, mounts=WATCH_MOUNTS)
    proc.add(20, "quantize", PREPARING)

    found = ProcessTable(proc.folder).read()

    assert set(found.main) == {MAIN, WORKER}
    assert [process.pid for process in found.roots] == [MAIN]
    assert found.watch_runs
    assert not found.unknown


def test_a_container_has_no_role_before_the_runtime_has_given_it_its_user(proc: Proc) -> None:
    table = ProcessTable(proc.folder)
    proc.add(MAIN, "main", ROOT)
    starting = table.read()
    proc.add(MAIN, "main", USER)
    started = table.read()

    assert (set(starting.main), len(starting.unknown)) == (set(), 1)
    assert (set(started.main), len(started.unknown)) == ({MAIN}, 0)


def test_a_role_once_found_stays_whatever_main_does_to_its_processes(proc: Proc) -> None:
    table = ProcessTable(proc.folder)
    proc.add(MAIN, "main", USER)
    table.read()
    proc.remove(MAIN)
    proc.add(99, "main", USER, mounts=WATCH_MOUNTS)

    assert set(table.read().main) == {99}


def test_what_is_executed_in_a_container_belongs_to_it(proc: Proc) -> None:
    proc.add(60, "collect", ROOT)
    proc.add(61, "main", USER)
    proc.add(62, "main", ROOT)

    found = ProcessTable(proc.folder).read()

    assert set(found.main) == {61, 62}
    assert not found.unknown


def test_a_process_with_parentheses_in_its_name_is_read(proc: Proc) -> None:
    found = {process.pid: process for process in living_processes(proc.folder)}

    assert found[COLLECT] == Process(COLLECT, 0, 200 / os.sysconf("SC_CLK_TCK"), proc.cgroup.format("collect"))


@pytest.mark.parametrize(
    ("program", "code"),
    [("pass", 0), ("raise SystemExit(7)", 7), (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", 137)],
)
def test_the_kernel_says_how_a_process_ended_that_another_one_has_reaped(program: str, code: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", f"import sys; sys.stdin.read(); {program}"], stdin=subprocess.PIPE)
    (pidfd,) = open_pidfds([Process(child.pid, 0, 0.0)])
    child.communicate()

    found = read_exit_code(pidfd)

    os.close(pidfd)
    kernel = tuple(int(number) for number in platform.release().split(".")[:2])
    assert found == (code if kernel >= (6, 15) else None)


def test_a_descriptor_of_something_else_says_nothing(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert read_exit_code(file.fileno()) is None
