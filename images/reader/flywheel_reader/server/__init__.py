"""The server's side of HTTP: its connections, bounded in number and time, and the port of the probes."""
