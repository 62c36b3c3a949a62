"""The audit records of a Model's versions, which can only be added to.

`audit/<model>/<number>.json` in the namespace's folder of the store, each written once and with the SHA-256 of the one before it, so a record
that was changed, removed or inserted is found. collect writes them for the Jobs that verify, gate and promote; `champions/<model>.json` points at
the champion and at the record of its promotion.
"""
