"""Settings of an installation: images, the store's Secret, limits. They are read once from the environment."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

_FOLDER = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(?:[^/\s]+/)*")


@dataclass(frozen=True)
class AllowedPlacement:
    """What spec.placement may ask for. None allows any, an empty tuple none."""

    priority_class_names: tuple[str, ...] | None = None
    toleration_keys: tuple[str, ...] | None = None
    node_selector_keys: tuple[str, ...] | None = None

    @staticmethod
    def parse(text: str) -> "AllowedPlacement":
        """Returns the chart's value `placement`, given as JSON.

        Raises:
            ValueError: it is no such JSON.
        """
        try:
            value = json.loads(text)
            names = ("priorityClassNames", "tolerationKeys", "nodeSelectorKeys")
            return AllowedPlacement(*(None if value.get(name) is None else tuple(value[name]) for name in names))
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(
                f"FLYWHEEL_PLACEMENT is '{text}'; set it to the chart's value placement as JSON ({error})"
            ) from None


@dataclass(frozen=True)
class Identity:
    """Annotations and labels of a ServiceAccount, such as those of a workload identity."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def parse_all(text: str) -> "dict[str, Identity]":
        """Returns the identity of the servers of each namespace, given as JSON; that of all others has an empty name.

        Raises:
            ValueError: it is no such JSON.
        """
        try:
            return {
                namespace: Identity(dict(each.get("annotations") or {}), dict(each.get("labels") or {}))
                for namespace, each in json.loads(text).items()
            }
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(
                f"FLYWHEEL_SERVER_IDENTITIES is '{text}'; set it to annotations and labels by namespace as JSON ({error})"
            ) from None


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
    placement: AllowedPlacement = AllowedPlacement()
    fetch_limit: str = "20Gi"  # what fetch may download into one pod without an ephemeral-storage limit
    output_limit: str = "20Gi"  # what main may write as outputs without an ephemeral-storage limit
    upload_patience: str = "6h"  # for the outputs of a finished step, while the store does not take them
    tmp_limit: str = "20Gi"  # of /tmp of a step pod without an ephemeral-storage limit
    step_requests: tuple[str, ...] = ()  # of main, where neither the spec nor the kind has them, such as memory=512Mi
    step_limits: tuple[str, ...] = ()  # of main, where the spec has none, such as memory=2Gi
    server_requests: tuple[str, ...] = ()  # of our own server, where the spec has none, such as memory=256Mi
    server_limits: tuple[str, ...] = ()  # of our own server, where the spec has none, such as memory=4Gi
    check_timeout: str = ""  # of a Dataset's check, such as 1h; empty: none
    training_timeout: str = ""  # of a trial and of a pipeline's step without a timeout, such as 24h; empty: none
    resync: timedelta = timedelta(minutes=10)
    readable: tuple[str, ...] = ()  # folders that all namespaces may read with the installation's credentials
    server_identities: Mapping[str, Identity] = field(default_factory=dict)  # by namespace; "" for all others
    upgraded_at: str = (
        ""  # since when results are bound to their Jobs (engine/upgrade_time.py); empty: no earlier result counts
    )
    store_folders: tuple[str, ...] = ()  # of each namespace that the chart knows, such as shop=s3://flywheel/shop/

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "Settings":
        """Returns the settings of FLYWHEEL_* variables, with defaults for absent ones.

        Raises:
            ValueError: a variable cannot be read; the message names it.
        """
        resync = environment.get("FLYWHEEL_RESYNC_SECONDS", str(int(Settings.resync.total_seconds())))
        if not resync.isdigit() or int(resync) < 5:
            raise ValueError(f"FLYWHEEL_RESYNC_SECONDS is '{resync}'; set it to a whole number of seconds, at least 5")
        placement = AllowedPlacement.parse(environment.get("FLYWHEEL_PLACEMENT", "{}"))
        identities = Identity.parse_all(environment.get("FLYWHEEL_SERVER_IDENTITIES", "{}"))
        given: dict[str, Any] = {"placement": placement, "server_identities": identities}
        given["resync"] = timedelta(seconds=int(resync))
        for each in fields(Settings):
            text = environment.get(f"FLYWHEEL_{each.name.upper()}")
            if text is not None and each.name not in given:
                given[each.name] = text if isinstance(each.default, str) else tuple(text.replace(",", " ").split())
        _check_folders("FLYWHEEL_READABLE", given.get("readable", ()))
        _check_folders("FLYWHEEL_STORE_FOLDERS", [each.partition("=")[2] for each in given.get("store_folders", ())])
        return Settings(**given)

    def store_folder(self, namespace: str) -> str | None:
        """Returns the URI of the namespace's own folder in the store, or None where the chart does not know it."""
        return dict(each.split("=", 1) for each in self.store_folders).get(namespace)

    def server_identity(self, namespace: str) -> Identity:
        """Returns the annotations and labels of the ServiceAccounts of a namespace's servers."""
        return self.server_identities.get(namespace) or self.server_identities.get("") or Identity()


def _check_folders(variable: str, folders: Iterable[str]) -> None:
    for folder in folders:
        if not _FOLDER.fullmatch(folder) or any(part in (".", "..") for part in folder.split("/")):
            raise ValueError(f"{variable} has '{folder}'; each must be a folder, such as s3://bucket/folder/")
