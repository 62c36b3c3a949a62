"""The notification of a webhook when conditions become False: what is sent, and the Jobs that send it."""
