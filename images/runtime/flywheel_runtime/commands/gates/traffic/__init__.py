"""Gates on logged requests: the challenger answers what the champion's service was asked, before it gets any request.

__main__.py         the process that computes both models, since a model may end it
measurement.py      one result for each gate on traffic, whatever becomes of that process
replay_gate.py      the share of decisions that flip, by group, with the rows that differ most
labelled_gate.py    the gain on the rows of which labels are known
replay.py           both models' answers to the logged rows
request_log.py      the rows in the files of the log
logged_values.py    columns of the log as arrays
model_answers.py    decisions and scores of one model, computed or logged
flips.py            shares of rows with their intervals
latency.py          how long single rows take
"""
