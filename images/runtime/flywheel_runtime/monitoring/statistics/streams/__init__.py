"""What every stream has in common: its evidence from look to look, when a finding becomes active, and when it is cleared.

decision.py         the state of a stream, and what one look decides
estimate_stream.py  the test of the performance that scores let expect without labels
"""
