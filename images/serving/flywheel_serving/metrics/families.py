"""Metric families from numbers."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Samples = Iterable[tuple[tuple[str, ...], float]]  # label values, value


def counter(name: str, documentation: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    """A counter with one series for each sample."""
    return _with_samples(CounterMetricFamily(name, documentation, labels=labels), samples)


def gauge(name: str, documentation: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    """A gauge with one series for each sample."""
    return _with_samples(GaugeMetricFamily(name, documentation, labels=labels), samples)


def _with_samples(family: CounterMetricFamily | GaugeMetricFamily, samples: Samples) -> Metric:
    for values, value in samples:
        family.add_metric(values, value)
    return family
