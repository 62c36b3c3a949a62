"""Data from data, by one SELECT.

inputs/flights/{train,validation,test}.parquet ──▶ view flights (+ flywheel_split) ─┐
inputs/weather/…                               ──▶ view weather (+ flywheel_split) ─┤ the user's SQL, values bound,
                                                                                    │ nothing else in reach
output `data`, in the form of a check's ◀── types, splits, profile, digests ◀───────┘
"""
