"""Receipts of predictions: what is known of one logged answer, in one document that can be checked later without the cluster.

evidence (the reader, the API server) and recomputation (the stored model, on this machine) ─▶ document ─▶ receipt_check
"""
