"""h2spec against the gRPC port: HTTP/2 (RFC 7540) and HPACK (RFC 7541), case by case.

The known failures of grpc.aio are listed with their reasons. A new failure is red, and so is a listed case that passes, so
that the list stays true.
"""

import json
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2e.cluster import golang
from tests.serving.local_server import LocalServer

# A model server, and a program built with Go; seconds on an idle machine, minutes on a busy one.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

METHOD = "/inference.GRPCInferenceService/ServerLive"
KNOWN = json.loads((Path(__file__).parent / "h2spec_known.json").read_text())  # fails, varies: {reason: [case]}
CASES = 145
# A case that fails mostly waits, so the sections run in parallel, and the longest one case by case.
LONG = ("generic/5", 15)
SECTIONS = [
    *(f"generic/{name}" for name in ("1", "2", "3.1", "3.2", "3.3", "3.4", "3.5", "3.7", "3.8", "3.9", "3.10", "4")),
    *(f"{LONG[0]}/{case}" for case in range(1, LONG[1] + 1)),
    *(f"http2/{name}" for name in ("3.5", "4.1", "4.2", "4.3", "5.1", "5.1.1", "5.1.2", "5.3.1", "5.4.1", "5.5")),
    *(f"http2/6.{name}" for name in ("1", "2", "3", "4", "5", "5.2", "5.3", "7", "8", "9", "9.1", "9.2", "10")),
    *(f"http2/{name}" for name in ("7", "8.1", "8.1.2", "8.1.2.1", "8.1.2.2", "8.1.2.3", "8.1.2.6", "8.2")),
    *(f"hpack/{name}" for name in ("2.3.3", "4.2", "5.2", "6.1", "6.3")),
]


def outcomes(server: LocalServer, folder: Path, section: str, seconds: int) -> dict[str, bool]:
    """Whether each case passed, or was skipped, for `section <title>`."""
    report = folder / f"{section.replace('/', '-')}-{seconds}.xml"
    port = str(server.ready["grpc"])
    words = [str(golang.build(golang.H2SPEC)), section, "-p", port, "-P", METHOD, "-o", str(seconds), "-j", str(report)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert report.exists(), done.stdout + done.stderr
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return {f"{case.get('package')} {case.get('classname')}": case.find("error") is None for case in cases}


def run_h2spec(server: LocalServer, folder: Path, sections: Iterable[str], seconds: int) -> dict[str, bool]:
    with ThreadPoolExecutor(24) as pool:
        parts = pool.map(lambda section: outcomes(server, folder, section, seconds), sections)
        return {case: passed for part in parts for case, passed in part.items()}


def known_cases(kind: str) -> set[str]:
    return {case for cases in KNOWN[kind].values() for case in cases}


def test_every_case_has_its_listed_response(echo_server: LocalServer, tmp_path: Path) -> None:
    known, varying = known_cases("fails"), known_cases("varies")

    found = run_h2spec(echo_server, tmp_path, SECTIONS, seconds=1)
    packages = {case.split()[0] for case, passed in found.items() if passed == (case in known) and case not in varying}
    if packages:  # a busy machine may have been slow: these cases get more time
        again = [section for section in SECTIONS if section in packages or section.rpartition("/")[0] in packages]
        found |= run_h2spec(echo_server, tmp_path, again, seconds=4)

    assert len(found) == CASES
    assert varying | known <= found.keys(), "h2spec has no such case"
    failed = {case for case, passed in found.items() if not passed} - varying
    assert sorted(failed - known) == [], "new failures"
    assert sorted(known - failed) == [], "these pass now; take them off the list"
