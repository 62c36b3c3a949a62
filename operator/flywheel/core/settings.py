"""Settings of an installation: images, the store's Secret, limits. They are read once from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Settings:
    """Installation-wide settings; the chart's values set the environment variables of the same names."""

    runtime_image: str = "flywheel.local/runtime:dev"
    serving_image: str = "flywheel.local/serving:dev"
    store_secret: str = "flywheel-store"
    runner_service_account: str = "flywheel-runner"
    image_pull_secrets: tuple[str, ...] = ()
    allowed_http_hosts: tuple[str, ...] = ()
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
        defaults = Settings()

        def split_list(name: str) -> tuple[str, ...]:
            return tuple(environment.get(name, "").replace(",", " ").split())

        resync = environment.get("FLYWHEEL_RESYNC_SECONDS", str(int(defaults.resync.total_seconds())))
        if not resync.isdigit() or int(resync) < 5:
            raise ValueError(f"FLYWHEEL_RESYNC_SECONDS is '{resync}'; set it to a whole number of seconds, at least 5")
        return Settings(
            runtime_image=environment.get("FLYWHEEL_RUNTIME_IMAGE", defaults.runtime_image),
            serving_image=environment.get("FLYWHEEL_SERVING_IMAGE", defaults.serving_image),
            store_secret=environment.get("FLYWHEEL_STORE_SECRET", defaults.store_secret),
            runner_service_account=environment.get("FLYWHEEL_RUNNER_SERVICE_ACCOUNT", defaults.runner_service_account),
            image_pull_secrets=split_list("FLYWHEEL_IMAGE_PULL_SECRETS"),
            allowed_http_hosts=split_list("FLYWHEEL_ALLOWED_HTTP_HOSTS"),
            namespaces=split_list("FLYWHEEL_NAMESPACES"),
            fetch_limit=environment.get("FLYWHEEL_FETCH_LIMIT", defaults.fetch_limit),
            output_limit=environment.get("FLYWHEEL_OUTPUT_LIMIT", defaults.output_limit),
            resync=timedelta(seconds=int(resync)),
        )
