"""Explanations beside a server: the container `explain`, and the server's connection to it.

server, client.py --socket--> __main__.py, which starts a worker for the connection --> worker.py, which loads the model and explains
"""
