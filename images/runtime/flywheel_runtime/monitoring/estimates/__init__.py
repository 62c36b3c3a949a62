"""Estimated performance: what the metric of a window is expected to be, by the scores of its rows and without labels.

estimate_target.py  what the files of a version let estimate: bins of a score, and what a row of each bin is expected to cost
looks.py            the test of one window, or why there is none
"""
