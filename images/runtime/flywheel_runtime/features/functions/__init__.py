"""Functions of DuckDB in terms of ONNX, a module for each group. Each takes the compilation and a call, and returns a value."""
