"""What a model relies on, measured on test rows: which columns its metric needs, and how predictions follow a column's values.

test rows ──▶ sample.py ──┬─▶ permutation_importance.py ──▶ the columns, the most important first
                          └─▶ partial_dependence.py     ──▶ mean predictions along the values of those columns

The terms are those of sklearn.inspection. Both call the exported model, so that they hold for what is served.
"""
