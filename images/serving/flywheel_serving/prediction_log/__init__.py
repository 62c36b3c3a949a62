"""Prediction logging: sampled rows as Parquet, and exact counts of all traffic in the baseline's frozen bins.

    response --> Recorder (append) --> Counts (all requests)    --.                               .--> rows/...parquet
                 every 4,096 values    sample --> BatchEncoder  --+--> SinkConnection (bounded) --+--> counts/...json
                                                                  `    full: dropped, counted     `--> acknowledgements

Only the sink, in a container of its own, knows Arrow, Parquet, the store and its credentials. Whatever happens to it, the server
keeps answering: no response waits for any of this, and every queue is bounded in bytes.
"""
