"""Monitoring of served versions: counts against a version's baseline, tests with an alarm budget, and reports.

    documents --> windows of roll-ups --> signals --> statistics --> findings --> report
                  coverage (what is missing)  reference (what is compared with)   state of the next run

All numbers up to the tests are integer counts in the bins of a version's baseline.json, so that pods and windows add up whatever
their order (images/README.md, "Logged predictions" and "monitor").
"""
