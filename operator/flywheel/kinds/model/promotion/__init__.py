"""Which version of a Model is champion: `gate_evaluation` and `comparison` judge one version, `approval` is the last word of a person."""
