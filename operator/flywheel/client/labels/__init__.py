"""Rows that people label: which of the logged rows narrow the answer most, the file that offers them, and posting their labels.

sampling.py      how likely each row is drawn, and how many labels a precision takes
label_queue.py   the logged rows of a monitor's windows, and those that are drawn
queue_file.py    the CSV file with the drawn rows and their labels
feedback.py      requests that post the labels to the service
"""
