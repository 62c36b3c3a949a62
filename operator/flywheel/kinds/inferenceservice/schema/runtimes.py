"""`spec.runtime`: which program serves the model."""

from typing import Annotated

from pydantic import Field

from flywheel.core.resource.schema import Schema, exactly_one_of, model_rules, rule

Argument = Annotated[str, Field(max_length=4096)]
Port = Annotated[int, Field(ge=1024, le=65535)]


class FlywheelRuntime(Schema):
    """Flywheel's own server: ONNX models over REST and gRPC."""


class TritonRuntime(Schema):
    """NVIDIA Triton Inference Server. Its model repository and config.pbtxt are made from the version's signature."""

    image: str = Field(
        min_length=1,
        max_length=1024,
        description="The Triton image, such as nvcr.io/nvidia/tritonserver:25.08-py3; one named by digest never changes.",
    )
    args: tuple[Argument, ...] = Field((), max_length=64, description="Further arguments of tritonserver.")


class CustomPorts(Schema):
    """The ports of the image; the Service's ports stay 8080 and 8081."""

    model_config = model_rules(
        rule("!has(self.grpc) || self.grpc != self.http", "http and grpc must be two ports; correct one of them")
    )

    http: Port = Field(8080, description="REST of the Open Inference Protocol v2.")
    grpc: Port | None = Field(None, description="gRPC of the Open Inference Protocol v2, if the image speaks it.")


class CustomRuntime(Schema):
    """Any image that answers the Open Inference Protocol v2. The artifact lies in /flywheel/inputs/model, also in $(FLYWHEEL_MODEL_DIR);
    $(FLYWHEEL_MODEL_NAME) is the name that it must answer to, $(FLYWHEEL_MODEL_VERSION) the version's."""

    image: str = Field(min_length=1, max_length=1024, description="The image; one named by digest never changes.")
    command: tuple[Argument, ...] = Field((), max_length=64, description="The command; absent, the image's entrypoint.")
    args: tuple[Argument, ...] = Field(
        (), max_length=256, description="Its arguments; variables such as $(FLYWHEEL_MODEL_NAME) are replaced."
    )
    ports: CustomPorts = Field(CustomPorts(), description="The ports on which it listens.")


class Runtime(Schema):
    """Exactly one of flywheel, triton, custom."""

    model_config = model_rules(exactly_one_of("flywheel", "triton", "custom"))

    flywheel: FlywheelRuntime | None = Field(None, description="Flywheel's own server, the default.")
    triton: TritonRuntime | None = Field(None, description="NVIDIA Triton Inference Server.")
    custom: CustomRuntime | None = Field(None, description="Any image that speaks the Open Inference Protocol v2.")


# Rules of the spec that holds `runtime`: what our own server alone can do.
RULES = (
    rule(
        "!has(self.runtime) || has(self.runtime.flywheel) || (has(self.auth) && has(self.auth.none))",
        "our own server alone asks who calls: with another spec.runtime write auth: {none: {}}, and guard the Service by other means",
    ),
    rule(
        "!has(self.runtime) || has(self.runtime.flywheel) || !has(self.rollout)",
        "our own server alone shares its work with a challenger: with another spec.runtime leave spec.rollout out",
    ),
    rule(
        "!has(self.runtime) || has(self.runtime.flywheel) || !has(self.scaling) || self.scaling.metric in ['CPU', 'Memory']",
        "spec.scaling.metric InFlight and RequestsPerSecond are told by our own server alone; with another spec.runtime use CPU or Memory",
    ),
    rule(
        "!has(self.runtime) || has(self.runtime.flywheel) || !has(self.logging)",
        "our own server alone logs and counts predictions: with another spec.runtime leave spec.logging out",
    ),
    rule(
        "!has(self.runtime) || has(self.runtime.flywheel) || !has(self.batching)",
        "our own server alone is told here how to batch: with another spec.runtime leave spec.batching out, and use its own settings",
    ),
)
