"""The index of what was tracked: one record for each end of a trial or step that counts.

`tracking/log/<number>.json` in the namespace's folder of the store, each written once, so that the index is read by number and without a
listing. `tracking/head.json` names a recent number, from which readers go on until there is no further record; `tracking/segments/` has 256
records in one object each.
"""
