"""The sink's side of prediction logging: the process of the container `log-sink`, and the writer of one connection.

server --socket--> sink (`__main__`), which starts a writer for the connection --> writer --> store
"""
