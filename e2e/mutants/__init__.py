"""Mutation testing: small faults are put into the code, and each of them should make a test fail.

`make mutants` draws a sample of mutants, tests each in a clone of the checkout, and prints those that survive. A survivor is killed by
a test, or listed in survivors.md with the reason why it may live.
"""
