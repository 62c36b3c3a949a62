"""The statistics of monitoring: effects, anytime-valid tests with an alarm budget, and estimates without or with few labels.

These are pure functions of numpy arrays, without input or output. A counts vector has the bins that have an order first (`ordered` of
them, such as under, bins, over), then those without (missing, invalid, other). What is called, by the signal:

features, predictions   stream = drift_stream(reference_counts, threshold=0.1, ordered=22)
                        state, finding = observe_window(stream, state, blocks, allowance, window_start)
shares (missing, …)     stream = share_stream(reference_hits, reference_rows, max_increase=0.01)
                        state, finding = observe_window(stream, state, blocks, allowance, window_start)
losses in [0, 1]        stream = loss_stream(reference_mean, reference_rows, max_increase=0.03)
                        state, finding = observe_losses(stream, state, losses, allowance, window_start)

`blocks` are integer counts (sub-windows, bins) of one window in the order of time, such as one row for each minute. `allowance` is the
number of false alarms that this look may cost in expectation, from `look_allowances`. `state` is a JSON object, or None at the first
look. `finding.status` is Quiet, Active, Cleared or Unknown; `finding.is_new` is true at the look that raised the alarm.

effects.py                population_stability_index, jensen_shannon_distance, wasserstein_distance, l_infinity_distance
false_alarm_budget.py     look_allowances, alarms_left
monitored_stream.py       drift_stream, share_stream, loss_stream, observe_window, observe_losses
null_ball.py, evalues.py  what no window may cost, and the e-values of a window; detector.py sums them over time
dependence.py             the design effect of rows that are not independent
betting.py                e-values of bounded losses
fixed_tests.py            drift_p_values, share_p_values, holm_adjusted, fixed_level: one window at a time
estimation.py             calibrate_bins, estimate_roc_auc, estimate_confusion: performance without labels (CBPE)
horvitz_thompson.py       combine_samples, weighted_mean, weighted_share, weighted_roc_auc: few labels, right answer
"""
