"""The gRPC service with grpc's own client: statuses, sizes, compression, cancelling, many calls at once."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from e2e.waiting import wait_until
from flywheel_serving.protocol import health_pb2 as health
from flywheel_serving.protocol import open_inference_pb2 as pb
from tests.serving.local_server import LocalServer
from tests.serving.rpc.tcp_relay import relay

pytestmark = pytest.mark.integration  # each starts a model server in its own process

SERVICE = "/inference.GRPCInferenceService"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def method(channel: grpc.Channel, name: str, answer: Any) -> Any:
    return channel.unary_unary(name, lambda message: message.SerializeToString(), answer.FromString)


def infer(channel: grpc.Channel) -> Any:
    return method(channel, f"{SERVICE}/ModelInfer", pb.ModelInferResponse)


def watch_health(channel: grpc.Channel) -> Any:
    return channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        health.HealthCheckRequest.SerializeToString,
        health.HealthCheckResponse.FromString,
    )


def numbers(values: Any) -> pb.ModelInferRequest:
    """A request for the model `lookup`."""
    array = np.array(values, np.int64)
    request = pb.ModelInferRequest(model_name="lookup", raw_input_contents=[array.tobytes()])
    request.inputs.add(name="index", datatype="INT64", shape=[len(array)])
    return request


def test_an_unknown_method_or_service_is_unimplemented(lookup_server: LocalServer) -> None:
    with grpc.insecure_channel(lookup_server.grpc) as channel:
        for name in (f"{SERVICE}/Other", "/other.Service/ModelInfer"):
            with pytest.raises(grpc.RpcError) as caught:
                method(channel, name, pb.ModelInferResponse)(numbers([0]), timeout=10)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_bytes_that_are_no_message_are_refused_and_the_channel_survives(lookup_server: LocalServer) -> None:
    with grpc.insecure_channel(lookup_server.grpc) as channel:
        for name in (f"{SERVICE}/ModelInfer", f"{SERVICE}/ServerLive", "/grpc.health.v1.Health/Check"):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(name)(b"\xff\xff\xff", timeout=10)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "the message is no " in caught.value.details()
        with pytest.raises(grpc.RpcError) as caught:
            list(channel.unary_stream("/grpc.health.v1.Health/Watch")(b"\xff", timeout=10))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert [line for line in lookup_server.log if "Traceback" in json.dumps(line)] == []
        assert infer(channel)(numbers([1]), timeout=10).outputs[0].shape == [1]


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip], ids=["none", "gzip"])
def test_compressed_requests_are_answered(lookup_server: LocalServer, compression: grpc.Compression) -> None:
    request = numbers([2])
    request.id = "x" * 5_000
    with grpc.insecure_channel(lookup_server.grpc, compression=compression) as channel:
        answer = infer(channel)(request, timeout=10)

    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [3.0]
    assert answer.id == request.id


def test_messages_of_megabytes_arrive_complete(lookup: Path) -> None:
    indices = np.arange(1_500_000) % 3
    with (
        LocalServer(lookup, "--name", "lookup", "--max-rows", "2000000") as server,
        grpc.insecure_channel(server.grpc, UNLIMITED) as channel,
    ):
        answer = infer(channel)(numbers(indices), timeout=60)

    np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], np.float32), indices + 1)


def test_thousands_of_calls_at_once_on_one_connection_are_each_answered(lookup: Path) -> None:
    with (
        LocalServer(lookup, "--name", "lookup", "--max-in-flight", "4000") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        ask = infer(channel)
        calls = [ask.future(numbers([index % 3]), timeout=60) for index in range(3_000)]
        found = [np.frombuffer(call.result().raw_output_contents[0], np.float32)[0] for call in calls]

    assert found == [index % 3 + 1.0 for index in range(3_000)]


def test_calls_that_are_cancelled_or_late_leave_nothing_in_flight(counting: Path) -> None:
    request = pb.ModelInferRequest(model_name="counting", raw_input_contents=[np.array([1_500_000]).tobytes()])
    request.inputs.add(name="n", datatype="INT64", shape=[1])
    with (
        LocalServer(counting, "--name", "counting", "--threads", "1") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        cancelled = infer(channel).future(request, timeout=60)
        wait_until(lambda: has_sample(server, 'model_infer_in_flight{model="counting",version="1"} 1.0'))
        cancelled.cancel()
        with pytest.raises(grpc.RpcError) as late:
            infer(channel)(request, timeout=0.05)

        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: has_sample(server, 'model_infer_in_flight{model="counting",version="1"} 0.0'))
        check = method(channel, "/grpc.health.v1.Health/Check", health.HealthCheckResponse)
        assert check(health.HealthCheckRequest(), timeout=10).status == health.HealthCheckResponse.SERVING


def has_sample(server: LocalServer, sample: str) -> bool:
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as response:
        return sample in response.read().decode()


def test_watches_of_health_leave_room_for_other_calls(lookup: Path) -> None:
    with (
        LocalServer(lookup, "--name", "lookup", "--max-connections", "32") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        watch = watch_health(channel)
        watches = [watch(health.HealthCheckRequest(), timeout=60) for _ in range(10)]
        codes = [first_code(each) for each in watches]
        assert infer(channel)(numbers([1]), timeout=10).outputs[0].shape == [1]
        for each in watches:
            each.cancel()

        wait_until(lambda: first_code(watch(health.HealthCheckRequest(), timeout=60)) is grpc.StatusCode.OK)

    assert codes.count(grpc.StatusCode.OK) == 3, "three quarters of an eighth"
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_calls_that_wait_for_their_client_make_room_for_anothers(lookup: Path) -> None:
    """Two clients have all 8 calls, and send no message."""
    flags = ("--name", "lookup", "--max-connections", "8", "--request-seconds", "6")
    with LocalServer(lookup, *flags) as server, ExitStack() as stack:
        held = threading.Event()
        stack.callback(held.set)
        stalled = []
        for source, count in (("127.0.0.2", 7), ("127.0.0.3", 2)):
            address = stack.enter_context(relay(server.ready["grpc"], source))
            channel = stack.enter_context(grpc.insecure_channel(address))
            stalled += [start_without_message(channel, held) for _ in range(count)]
        wait_until(lambda: sum(call.done() for call in stalled) == 1)
        with grpc.insecure_channel(server.grpc) as channel:
            assert infer(channel)(numbers([1]), timeout=10).outputs[0].shape == [1]
        wait_until(lambda: sum(call.done() for call in stalled) == 2)
        ended = [call for call in stalled if call.done()]
        assert {call.code() for call in ended} == {grpc.StatusCode.UNAVAILABLE}
        assert any("one client may have" in call.details() for call in ended)
        assert any("other clients needed the room" in call.details() for call in ended)

        wait_until(lambda: all(call.done() for call in stalled), 20)
        late = [call for call in stalled if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED]
        assert len(late) == 7
        assert "the message was not complete after 6 seconds" in late[0].details()


def start_without_message(channel: grpc.Channel, held: threading.Event) -> Any:
    """A call of ModelInfer that sends its headers, and nothing else before `held` is set."""

    def messages() -> Iterator[Any]:
        held.wait(60)
        yield from ()

    return channel.stream_unary(f"{SERVICE}/ModelInfer").future(messages(), timeout=60)


def first_code(watch: Any) -> grpc.StatusCode:
    """OK if the watch reports a status, else the code with which it ended."""
    try:
        next(watch)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_a_watch_of_health_reports_the_drain(counting: Path) -> None:
    with (
        LocalServer(counting, "--name", "counting", "--drain-seconds", "2") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        watch = watch_health(channel)
        heard = watch(health.HealthCheckRequest(), timeout=60)
        assert next(heard).status == health.HealthCheckResponse.SERVING

        server.terminate()

        assert [answer.status for answer in heard] == [health.HealthCheckResponse.NOT_SERVING]
        assert server.wait() == 0
