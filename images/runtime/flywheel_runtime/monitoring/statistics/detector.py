"""Evidence over time: sequential detection whose expected number of false alarms is bounded at every time.

Each look at a window has an allowance b, the number of false alarms that it may cost in expectation. The evidence of a component starts
at its share of b, is multiplied by the window's e-value, and never falls below that share: U_t = max(U_{t-1}, b_t) e_t. When the sum over
the components reaches 1 there is an alarm, and the evidence starts again at nothing.

Since E[e_t | past] <= 1 under the null, E[U_t + alarms up to t] grows by at most b_t a look. So the expected number of alarms up to any
time t, restarts included, is at most the sum of the allowances up to t, whatever the streams have to do with one another, also when
features or versions come and go and the allowances change. It is the e-detector of CUSUM type of Shin, Ramdas and Rinaldo, "E-detectors: a
nonparametric framework for sequential change detection", NEJSDS 2, 2024, with thresholds written as allowances. Any e-value may be made
smaller without harm: that is how a single odd window is kept from an alarm.
"""

import numpy as np

from flywheel_runtime.monitoring.statistics.quantiles import Array, log_sum_exp

MAX_SHARE_OF_EVIDENCE = 0.6  # of the evidence for an alarm that one window can give
OVERWHELMING = 10.0  # times the evidence for an alarm: then one window is enough


def limit_log_e_values(log_e: Array, log_allowance: Array) -> Array:
    """Log e-values (…, components) of which one window alone gives no alarm, unless it has ten times the evidence that one needs."""
    needed = -log_allowance[..., None]
    limited: Array = np.where(log_e < OVERWHELMING * needed, np.minimum(log_e, MAX_SHARE_OF_EVIDENCE * needed), log_e)
    return limited


def add_evidence(log_evidence: Array, log_e: Array, log_weights: Array, log_allowance: Array) -> Array:
    """Log evidence (…, components) after a window: log_evidence and log_e (…, components), log_weights (components,), log_allowance (…)."""
    added: Array = np.maximum(log_evidence, log_weights + log_allowance[..., None]) + limit_log_e_values(
        log_e, log_allowance
    )
    return added


def total_log_evidence(log_evidence: Array) -> Array:
    """The logarithm (…) of the sum over components (…, components); there is an alarm where it is at least 0."""
    return log_sum_exp(log_evidence)
