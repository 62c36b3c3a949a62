"""The step `notify`: it posts to a webhook (images/README.md, "notify"). Its URL may hold a token: messages name the host alone."""

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import ConfigDict, Field

from flywheel_runtime.contract.errors import Failure, HostUnreachable, Transient
from flywheel_runtime.contract.step import Step, log_line, step_command
from flywheel_runtime.contract.time_limit import run_within
from flywheel_runtime.params import Params
from flywheel_runtime.transport.http import connect, path_of, send

RETRY_PAUSES_SECONDS = (1.0, 4.0)  # seconds between them
TIMEOUT_SECONDS = 10.0  # seconds for one try, whatever the host does
MAX_BODY_BYTES = 64_000
PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Notification:
    """A request to a webhook, and the hosts that may receive it."""

    url: SplitResult
    body: bytes
    allowed: tuple[str, ...]

    @property
    def host(self) -> str:
        return self.url.hostname or ""


@step_command
def main(step: Step) -> None:
    """POST the body of the parameters; exits with 0 when the host took it, 2 when it refused, 1 when it did not answer three times."""
    request = read_notification(step.params, os.environ)
    status = send_notification(request, RETRY_PAUSES_SECONDS)
    step.finish({}, {})
    log_line(f"host '{request.host}' answered {status}")


class NotifyConfig(Params):
    """The configuration in params.json; `body` is any object."""

    model_config = ConfigDict(strict=True)

    url: str = ""
    body: dict[str, Any]
    allowed_hosts: list[str] = Field(default_factory=list)


def read_notification(params: Mapping[str, Any], env: Mapping[str, str]) -> Notification:
    """The request to send; the URL in NOTIFY_URL, which came from a Secret, goes before that in params.

    Raises:
        Failure: UrlInvalid, ParamsInvalid, BodyTooLarge.
    """
    config = NotifyConfig.parse(params)
    url = _url(env.get("NOTIFY_URL", "").strip() or config.url)
    body = json.dumps(config.body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    if len(body) > MAX_BODY_BYTES:
        message = f"The body of notify has {len(body):,} bytes and may have {MAX_BODY_BYTES:,}; say less."
        raise Failure("BodyTooLarge", message)
    return Notification(url, body, tuple(config.allowed_hosts))


def _url(given: str) -> SplitResult:
    cure = "give notify.url, or a Secret's key with it, as https://host/path"
    if not given:
        raise Failure("UrlInvalid", f"notify has no URL; {cure}.")
    try:
        url = urlsplit(given)
        _ = url.port  # raises for one that is no number
        good = url.scheme in ("http", "https") and bool(url.hostname) and PRINTABLE.fullmatch(given)
    except ValueError:
        good = None
    if not good or "@" in url.netloc:
        # Nothing of it is repeated: it may be a secret.
        raise Failure("UrlInvalid", f"notify's URL is no http or https URL without user and spaces; {cure}.")
    return url


def send_notification(notification: Notification, pauses: tuple[float, ...]) -> int:
    """The status of the host that took it, after one try more than there are pauses.

    Raises:
        Failure: NotifyRefused for 3xx and 4xx, NotifyFailed where the last try had no answer or 5xx.
        Failure: HostNotAllowed.
    """
    for pause in (*pauses, None):
        try:
            return _post(notification)
        except Transient as trouble:
            log_line(f"host '{notification.host}' did not take it: {trouble}")
            if pause is None:
                message = (
                    f"Host '{notification.host}' did not take the notification in {len(pauses) + 1} tries ({trouble}); "
                    "see that it runs and can be reached from the cluster."
                )
                raise Failure("NotifyFailed", message, retry=True) from None
            time.sleep(pause)
    raise AssertionError("unreachable")


def _post(notification: Notification) -> int:
    """The status. A host that sends a byte now and then would hold a socket's own timeout off for ever, hence the time limit."""
    url = notification.url
    try:
        pool = connect(url, notification.allowed, TIMEOUT_SECONDS)
        response = run_within(
            TIMEOUT_SECONDS, lambda: send(pool, "POST", path_of(url), _headers(url), notification.body)
        )
    except TimeoutError:
        raise HostUnreachable(f"no answer within {TIMEOUT_SECONDS:g} s") from None
    response.close()
    return _accepted_status(notification.host, response.status)


def _headers(url: SplitResult) -> dict[str, str]:
    # The same for every try and every attempt of this step, so that a receiver can take it once.
    key = "-".join(os.environ.get(name, "") for name in ("FLYWHEEL_UID", "FLYWHEEL_STEP")).strip("-")
    headers = {"Host": url.netloc, "Content-Type": "application/json"}
    return headers | ({"Idempotency-Key": key} if key else {})


def _accepted_status(host: str, status: int) -> int:
    if 200 <= status < 300:
        return status
    if status >= 500 or status in (408, 429):
        raise HostUnreachable(f"it answered {status}")
    finding = (
        "which leads elsewhere; give the last URL" if 300 <= status < 400 else "correct the URL or what it expects"
    )
    raise Failure("NotifyRefused", f"Host '{host}' answered {status} to the notification: {finding}.")
