"""The number of servers (`spec.scaling`), and the HorizontalPodAutoscaler that may set it."""
