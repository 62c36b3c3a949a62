"""A model made smaller, and what that costs.

model.onnx ──dynamic int8──▶ model.onnx'      golden.json gets the answers of model.onnx'
     │                           │            evaluation.json gets its metrics on the test split, if the data is there
     └───── the same rows ───────┘            quantization.json says gap, sizes and both sides' metrics
"""
