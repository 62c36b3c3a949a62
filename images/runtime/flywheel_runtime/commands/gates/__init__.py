"""The gates that need rows: a challenger and the champion on the challenger's test split.

main.py     params in, gates.json and facts out
scored.py   both models' answers to the test rows
judged.py   one finding for each gate
leak.py     whether the challenger was trained on the rows that judge it
statistics/ intervals, gaps and errors, on arrays alone
"""
