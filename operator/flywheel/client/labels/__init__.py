"""Rows that people label: which of the logged rows narrow the answer most, the file that offers them, and posting their labels.

label_sampling.py  how likely each row is drawn, and how many labels a precision takes
logged_frame.py    the logged rows of which some are drawn, as many as memory should hold
monitored_service.py  the rows of a service whose labels a ModelMonitor joins
label_queue.py     the rows that are drawn for a ModelMonitor, and how well their labels tell the answer
queue_file.py      the CSV file with the drawn rows and their labels
feedback.py        requests that post the labels to the service
"""
