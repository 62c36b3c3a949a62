"""Labels of logged predictions: from files of the log, and posted labels or a Dataset's rows, to performance and fairness.

rows/*.parquet --.
                  +--> join (a row's only label, counts of the others) --> losses --> performance, fairness
labels/*.parquet -'    for each version, in the order of time
or a Dataset
"""
