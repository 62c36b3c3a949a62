"""One module or folder for each command of `python3 -m flywheel_runtime`; none knows another."""
