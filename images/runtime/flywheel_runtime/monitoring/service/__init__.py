"""Whether the service itself is healthy: the share of requests that fail, and of responses that are slow.

service_windows.py   the tests of errors and latencies, window by window
"""
