"""Which API groups there are, asked once a minute."""

from typing import Any

from flywheel.cluster.groups import CACHE_SECONDS, Groups


class Server:
    """Answers with its groups, and counts how often it is asked."""

    def __init__(self, *groups: str) -> None:
        self.groups = groups
        self.asked = 0
        self.now = 0.0

    def answer(self) -> dict[str, Any]:
        self.asked += 1
        return {
            "kind": "APIGroupList",
            "groups": [{"name": name, "preferredVersion": {"version": "v1"}} for name in self.groups],
        }


def test_what_is_installed_later_is_seen_a_minute_later() -> None:
    server = Server("apps")
    groups = Groups(server.answer, lambda: server.now)
    assert groups.versions() == {"apps": "v1"}
    server.groups = ("apps", "custom.metrics.k8s.io")

    server.now = CACHE_SECONDS - 1
    assert (sorted(groups.versions()), server.asked) == (["apps"], 1)

    server.now = CACHE_SECONDS
    assert (sorted(groups.versions()), server.asked) == (["apps", "custom.metrics.k8s.io"], 2)
