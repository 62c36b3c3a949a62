"""What a ModelMonitor monitors: an InferenceService, or the runs of a BatchInference."""
