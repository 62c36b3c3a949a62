"""How fast the model server is, beside others on the same machine in the same run; e2e/bench/README.md explains the figures."""
