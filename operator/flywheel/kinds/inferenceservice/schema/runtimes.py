"""`spec.runtime`: which program serves the model."""

from typing import Annotated

from pydantic import Field

from flywheel.core.resource.schema import Argument, ImageName, Schema, exactly_one_of, model_rules, rule

Port = Annotated[int, Field(ge=1024, le=65535)]


class FlywheelRuntime(Schema):
    """Flywheel's own server: ONNX models over REST and gRPC."""


class TritonRuntime(Schema):
    """NVIDIA Triton Inference Server. Its model repository and config.pbtxt are made from the version's signature."""

    image: ImageName = Field(
        description="Triton image, such as nvcr.io/nvidia/tritonserver:25.08-py3. Use a digest to make it immutable."
    )
    args: tuple[Argument, ...] = Field((), max_length=64, description="Further arguments of tritonserver.")


class CustomPorts(Schema):
    """The ports of the image; the Service's ports stay 8080 and 8081."""

    model_config = model_rules(
        rule("!has(self.grpc) || self.grpc != self.http", "http and grpc must be different ports")
    )

    http: Port = Field(8080, description="Port for REST of the Open Inference Protocol v2.")
    grpc: Port | None = Field(
        None, description="Port for gRPC of the Open Inference Protocol v2, if the image supports it."
    )


class CustomRuntime(Schema):
    """Any image that answers the Open Inference Protocol v2. The artifact lies in /flywheel/inputs/model, also in $(FLYWHEEL_MODEL_DIR);
    $(FLYWHEEL_MODEL_NAME) is the name that it must answer to, $(FLYWHEEL_MODEL_VERSION) the version's."""

    image: ImageName = Field(description="Image of the server. Use a digest to make it immutable.")
    command: tuple[Argument, ...] = Field(
        (), max_length=64, description="Command of the container. Defaults to the image's entrypoint."
    )
    args: tuple[Argument, ...] = Field(
        (), max_length=256, description="Its arguments; variables such as $(FLYWHEEL_MODEL_NAME) are replaced."
    )
    ports: CustomPorts = Field(CustomPorts(), description="The ports on which it listens.")


class Runtime(Schema):
    """Exactly one of flywheel, triton, custom."""

    model_config = model_rules(exactly_one_of("flywheel", "triton", "custom"))

    flywheel: FlywheelRuntime | None = Field(None, description="Flywheel's own server, the default.")
    triton: TritonRuntime | None = Field(None, description="NVIDIA Triton Inference Server.")
    custom: CustomRuntime | None = Field(None, description="Any image that implements the Open Inference Protocol v2.")


# Rules of the spec that holds `runtime`: what our own server alone can do.
RULES = tuple(
    rule(f"!has(self.runtime) || has(self.runtime.flywheel) || {condition}", message)
    for condition, message in {
        "(has(self.auth) && has(self.auth.none))": "only the default server authenticates callers: with another spec.runtime set auth: {none: {}} and protect the Service by other means",
        "!has(self.rollout)": "only the default server supports rollouts: with another spec.runtime remove spec.rollout",
        "!has(self.scaling) || self.scaling.metric in ['CPU', 'Memory']": "only the default server reports the metrics InFlight and RequestsPerSecond: with another spec.runtime use CPU or Memory in spec.scaling.metric",
        "!has(self.logging)": "only the default server logs and counts predictions: with another spec.runtime remove spec.logging",
        "!has(self.explain)": "only the default server explains answers: with another spec.runtime remove spec.explain",
        "!has(self.requestTimeout)": "only the default server limits the time of a computation: with another spec.runtime remove spec.requestTimeout and use the settings of that server",
        "!has(self.maxBodySize)": "only the default server limits the size of a request: with another spec.runtime remove spec.maxBodySize and use the settings of that server",
        "!has(self.batching)": "only the default server supports spec.batching: with another spec.runtime remove it and use the settings of that server",
    }.items()
)
