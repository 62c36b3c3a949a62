"""Stories on a real cluster, the benchmarks, and the development cluster itself."""
