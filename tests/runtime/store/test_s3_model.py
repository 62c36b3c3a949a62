"""The pruned description of S3: current, and with the same endpoints as the whole one."""

from typing import Any

import botocore.session
import generate_s3_model
import pytest
from botocore.config import Config

from flywheel_runtime.store import s3_client
from flywheel_runtime.store.access import Access

CONFIG = Config(s3={"addressing_style": "path"})
ACCESS = Access("data", None, "us-east-1", "key", "secret", None)


def url(client: Any, operation: str, **arguments: str) -> str:
    """Where a request would go, without sending it."""
    return str(client.generate_presigned_url(operation, Params=arguments)).partition("?")[0]


def test_the_files_are_what_the_installed_botocore_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["generate_s3_model", "--check"])

    assert generate_s3_model.main() == 0


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:9000", "https://store.example.com/below"])
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "aws-global", "garage"])
@pytest.mark.parametrize("bucket", ["data", "with.dots", "UpperCase"])
def test_requests_go_where_the_whole_model_sends_them(endpoint: str | None, region: str, bucket: str) -> None:
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    whole = botocore.session.Session().create_client("s3", region, endpoint_url=endpoint, config=CONFIG, **keys)
    pruned = s3_client.client(Access(bucket, endpoint, region, "key", "secret", None), 1, 1)

    try:
        wanted = url(whole, "get_object", Bucket=bucket, Key="folder/key")
    except botocore.exceptions.BotoCoreError as error:
        with pytest.raises(type(error)):
            url(pruned, "get_object", Bucket=bucket, Key="folder/key")
    else:
        assert url(pruned, "get_object", Bucket=bucket, Key="folder/key") == wanted


def test_an_access_has_one_client() -> None:
    assert s3_client.client(ACCESS, 1, 1) is s3_client.client(Access(**vars(ACCESS)), 1, 1)


def test_the_service_that_gives_credentials_for_a_service_account_is_known() -> None:
    client = s3_client._session().create_client("sts", "eu-west-1")

    assert client.meta.endpoint_url == "https://sts.eu-west-1.amazonaws.com"


def test_a_pod_may_ask_for_dual_stack_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    s3_client._session.cache_clear()
    client = s3_client.client(Access("dual-stack", None, "eu-west-1", "key", "secret", None), 1, 1)

    assert url(client, "get_object", Bucket="dual-stack", Key="key").startswith("https://s3.dualstack.eu-west-1.")
    s3_client._session.cache_clear()
