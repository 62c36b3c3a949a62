"""The search of an Experiment, which knows no Kubernetes: pure functions of the spec, the data and the earlier trials.

`defaults` settles what the spec leaves open, with `presets` where no estimator is named. `space` is what is searched. `sampler` suggests the
next point, by `optuna_sampler` where TPE does it; `warm_start` brings in the trials of other Experiments, and `plateau` says when to stop.
"""
