"""Which version of a Model is champion.

`gate_evaluation` says which gate a version fails, `comparison` whether it beats the champion, `approval_command` how a user approves it; and
`succession` chooses the champion from all versions.
"""
