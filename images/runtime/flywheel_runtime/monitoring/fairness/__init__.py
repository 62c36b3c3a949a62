"""Fairness: how far apart groups of rows are in what a model predicts, and a test that the difference is above what is allowed.

measures.py          what is compared between groups, such as the share of positive predictions
group_differences.py e-values of differences between the means of groups, and the difference without its bias from few rows
group_stream.py      evidence from window to window
fairness_analysis.py the windows of a run, their tests and findings
"""
