"""Settings of an installation: images, the store's Secret, limits. They are read once from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any


@dataclass(frozen=True)
class Settings:
    """Installation-wide settings; the chart's values set the environment variables of the same names."""

    runtime_image: str = "flywheel.local/runtime:dev"
    serving_image: str = "flywheel.local/serving:dev"
    store_secret: str = "flywheel-store"
    runner_service_account: str = "flywheel-runner"
    image_pull_secrets: tuple[str, ...] = ()
    allowed_http_hosts: tuple[str, ...] = ()
    allowed_serving_env: tuple[str, ...] = ()  # names that spec.env of our own server may have besides the usual ones
    namespaces: tuple[str, ...] = ()  # empty: all
    fetch_limit: str = "20Gi"  # what fetch may download into one pod without an ephemeral-storage limit
    output_limit: str = "20Gi"  # what main may write as outputs without an ephemeral-storage limit
    resync: timedelta = timedelta(minutes=10)

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "Settings":
        """Returns the settings of FLYWHEEL_* variables, with defaults for absent ones.

        Raises:
            ValueError: a variable cannot be read; the message names it.
        """
        resync = environment.get("FLYWHEEL_RESYNC_SECONDS", str(int(Settings.resync.total_seconds())))
        if not resync.isdigit() or int(resync) < 5:
            raise ValueError(f"FLYWHEEL_RESYNC_SECONDS is '{resync}'; set it to a whole number of seconds, at least 5")
        given: dict[str, Any] = {"resync": timedelta(seconds=int(resync))}
        for each in fields(Settings):
            text = environment.get(f"FLYWHEEL_{each.name.upper()}")
            if text is not None and each.name not in given:
                given[each.name] = text if isinstance(each.default, str) else tuple(text.replace(",", " ").split())
        return Settings(**given)
