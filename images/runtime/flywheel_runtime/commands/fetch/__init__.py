"""The init container that brings the inputs of a step, each checked, and the parameters."""
