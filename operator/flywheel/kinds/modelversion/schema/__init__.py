"""What a user writes into a ModelVersion (`spec`), and what is read from it (`status`, with `gate_results` and `quantization`)."""
