"""A pod without a key has the credentials of its workload identity, with which its requests are signed."""

import json
from pathlib import Path

import pytest

from flywheel_runtime.contract.errors import AccessDenied, StoreUnreachable
from flywheel_runtime.store.access import Access
from flywheel_runtime.store.aws import credential_chain
from flywheel_runtime.store.aws.signature import Credentials
from flywheel_runtime.store.s3 import Bucket
from tests.runtime.store.recording_server import Response, recording

ASSUMED = b"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>key</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""
GIVEN = {"AccessKeyId": "key", "SecretAccessKey": "secret", "Token": "token", "Expiration": "2999-01-01T00:00:00Z"}
REFUSED = (
    b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>No provider.</Message></Error></ErrorResponse>"
)


@pytest.fixture(autouse=True)
def no_other_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's counts."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    credential_chain._session.cache_clear()


def use_web_identity(monkeypatch: pytest.MonkeyPatch, folder: Path, endpoint: str) -> None:
    """As EKS does for a ServiceAccount with a role (IRSA)."""
    (folder / "identity").write_text("a token of the cluster")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(folder / "identity"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/flywheel")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", endpoint)


def test_a_web_identity_gives_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with recording(Response(body=ASSUMED, headers={"Content-Type": "text/xml"})) as recorder:
        use_web_identity(monkeypatch, tmp_path, recorder.endpoint)

        found = [credential_chain.find_credentials("eu-west-1") for _ in range(2)]

    assert found == [Credentials("key", "secret", "token")] * 2
    assert len(recorder.requests) == 1
    assert b"WebIdentityToken=a+token+of+the+cluster" in recorder.requests[0].body


def test_a_pod_identity_gives_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("authorization")
    with recording(Response(body=json.dumps(GIVEN).encode())) as recorder:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{recorder.endpoint}/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))

        found = credential_chain.find_credentials("eu-west-1")

    assert found == Credentials("key", "secret", "token")
    assert recorder.requests[0].headers["Authorization"] == "authorization"


def test_requests_without_a_key_are_signed_with_what_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with recording(Response(body=ASSUMED, headers={"Content-Type": "text/xml"})) as identities, recording() as store:
        use_web_identity(monkeypatch, tmp_path, identities.endpoint)
        Bucket(Access("data", store.endpoint, "eu-west-1", None, None, None)).put("k", b"")

    assert "Credential=key/" in store.requests[0].headers["Authorization"]
    assert store.requests[0].headers["X-Amz-Security-Token"] == "token"


def test_a_pod_without_any_credentials_is_denied() -> None:
    with pytest.raises(AccessDenied, match="there are no credentials"):
        credential_chain.find_credentials("eu-west-1")


def test_an_identity_that_is_refused_is_denied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with recording(Response(400, REFUSED, {"Content-Type": "text/xml"})) as recorder:
        use_web_identity(monkeypatch, tmp_path, recorder.endpoint)

        with pytest.raises(AccessDenied, match="InvalidIdentityToken"):
            credential_chain.find_credentials("eu-west-1")


def test_a_service_for_identities_that_is_away_is_unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_web_identity(monkeypatch, tmp_path, "http://127.0.0.1:9")

    with pytest.raises(StoreUnreachable, match="connection refused"):
        credential_chain.find_credentials("eu-west-1")
