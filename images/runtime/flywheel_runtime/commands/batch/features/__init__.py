"""Features of FeatureSets for the rows of a batch, as of the time of each row, by the join that trains.

pinned_sets.py     what the model pins, and whether the input has what is asked for
input_values.py    ──▶ looked_up.py: chunks of rows with the features as further columns
"""
