"""What a good engineer writes by hand in an afternoon: FastAPI on uvicorn with uvloop and httptools, and onnxruntime.

python fastapi_server.py MODEL_FOLDER HTTP_PORT GRPC_PORT
"""

import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

_, folder, http, _grpc = sys.argv
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options)
taken = session.get_inputs()[0]
outputs = [output.name for output in session.get_outputs()]
kind = np.float32 if taken.type == "tensor(float)" else object
app = FastAPI()


class Question(BaseModel):
    data: list[list[float]] | list[list[str]]


@app.post("/infer")
async def infer(question: Question) -> dict[str, list]:
    found = session.run(outputs, {taken.name: np.array(question.data, kind)})
    return {name: array.tolist() for name, array in zip(outputs, found, strict=True)}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(http), loop="uvloop", http="httptools", log_level="warning")
