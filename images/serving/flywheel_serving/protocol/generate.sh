#!/bin/sh
# Writes *_pb2.py and *_pb2.pyi beside the .proto files. Needs grpcio-tools (extra `dev`).
#
# Each file gets a descriptor pool of its own: a process that also imports tritonclient, or any other client of the
# protocol, would otherwise register `inference.ModelInferRequest` twice, which protobuf refuses.
set -eu
cd "$(dirname "$0")"
"${PYTHON:-python3}" -m grpc_tools.protoc -I. --python_out=. --pyi_out=. open_inference.proto health.proto
sed -i 's/_descriptor_pool\.Default()/_descriptor_pool.DescriptorPool()/' open_inference_pb2.py health_pb2.py
