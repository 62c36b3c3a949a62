"""What an installation decides once: images, the store's Secret, limits. Read from the environment by `__main__`, handed around as data."""

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
    fetch_limit: str = "20Gi"  # what fetch may bring into one pod, where no ephemeral-storage limit says less
    output_limit: str = "20Gi"  # what main may write into its outputs, where no ephemeral-storage limit says less
    resync: timedelta = timedelta(minutes=10)

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "Settings":
        """Read FLYWHEEL_* variables; an absent one keeps its default.

        Raises:
            ValueError: a variable cannot be read; the message names it.
        """
        standard = Settings()

        def words(name: str) -> tuple[str, ...]:
            return tuple(word for word in environment.get(name, "").replace(",", " ").split() if word)

        resync = environment.get("FLYWHEEL_RESYNC_SECONDS", str(int(standard.resync.total_seconds())))
        if not resync.isdigit() or int(resync) < 5:
            raise ValueError(f"FLYWHEEL_RESYNC_SECONDS is '{resync}'; set it to a whole number of seconds, at least 5")
        return Settings(
            runtime_image=environment.get("FLYWHEEL_RUNTIME_IMAGE", standard.runtime_image),
            serving_image=environment.get("FLYWHEEL_SERVING_IMAGE", standard.serving_image),
            store_secret=environment.get("FLYWHEEL_STORE_SECRET", standard.store_secret),
            runner_service_account=environment.get("FLYWHEEL_RUNNER_SERVICE_ACCOUNT", standard.runner_service_account),
            image_pull_secrets=words("FLYWHEEL_IMAGE_PULL_SECRETS"),
            allowed_http_hosts=words("FLYWHEEL_ALLOWED_HTTP_HOSTS"),
            namespaces=words("FLYWHEEL_NAMESPACES"),
            fetch_limit=environment.get("FLYWHEEL_FETCH_LIMIT", standard.fetch_limit),
            output_limit=environment.get("FLYWHEEL_OUTPUT_LIMIT", standard.output_limit),
            resync=timedelta(seconds=int(resync)),
        )
