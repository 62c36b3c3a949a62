"""What explains single predictions later, and is known only while a model is trained.

fitted pipeline ──┬─▶ tree_covers.py     ──▶ how many training rows reached each node of a tree, in model.onnx
                  └─▶ matrix_columns.py  ──▶ which column of the data each column of the model's matrix is of, in explanation.json
"""
