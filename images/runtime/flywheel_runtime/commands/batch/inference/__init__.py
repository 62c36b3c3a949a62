"""From rows to tensors, to the model server of the same pod, and back to columns."""
