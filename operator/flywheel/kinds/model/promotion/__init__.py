"""Which version of a Model is champion.

`gate_evaluation` says which gate a version fails, `eligibility` whether it beats the champion or waits for approval, and `succession` chooses
the champion from all versions.
"""
