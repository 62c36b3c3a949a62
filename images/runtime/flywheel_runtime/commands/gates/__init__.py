"""The step `gates`: promotion gates that need rows, on a challenger and the champion with the challenger's test split.

main.py     params in, gates.json and facts out
rules.py    one result for each gate
leakage.py  whether the challenger was trained on the rows that it is compared on
traffic/    the gates on logged requests
"""
