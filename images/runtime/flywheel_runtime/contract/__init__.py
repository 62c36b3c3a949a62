"""What all commands share with their pod: paths, parameters, messages, errors. The standard library is all it needs."""
