"""`POST …/predict` and `POST /invocations`: rows by column names in JSON, CSV or MLflow's forms, and predictions by name.

body -> row_bodies: names and cells -> model_columns: the model's tensors -> DataPlane.submit -> predictions: JSON
"""
