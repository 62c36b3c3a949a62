"""The operator against a real API server: restart, memory, latency, silence. Nothing schedules or runs; the bench plays the nodes."""
