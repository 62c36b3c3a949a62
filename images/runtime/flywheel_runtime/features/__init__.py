"""Features as SQL expressions over columns of one row, compiled into ONNX in front of a model.

SQL ──▶ bound_plan.py ──▶ expressions.py ──▶ functions/ ──▶ graph.py ──▶ output_tensors.py
       DuckDB binds      walks the nodes    a module       the nodes    FP32 (rows, features)
                                            a group

DuckDB chooses types and overloads; nothing here infers one. What has no equal in ONNX is refused by name.
"""
