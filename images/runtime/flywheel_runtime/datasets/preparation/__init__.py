"""A preparation: one SELECT of the user's over data sets makes a data set, which inherits types, roles and split of the first.

`commands/prepare` runs one for a training; `repeated` runs those of a champion again, on the rows of a challenger.
"""
