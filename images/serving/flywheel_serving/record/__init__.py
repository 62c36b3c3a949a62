"""Logging of predictions: sampled rows as Parquet, and exact counts of all traffic on the baseline's frozen bins.

    answer ──▶ recorder (append) ──▶ counts (all)      ┐                      ┌─▶ rows/…parquet
               every 1,024 values    sample ─▶ frame   ├▶ pipe (bounded) ─▶ sink, a child process ─▶ counts/…json
                                                       ┘   full: dropped, counted   └─ acknowledges what is in the store

Only the child knows Arrow, Parquet, the store and its credentials. Whatever happens to it, the server goes on answering: nothing here is
awaited on the way to an answer, and every queue is bounded in bytes.
"""
