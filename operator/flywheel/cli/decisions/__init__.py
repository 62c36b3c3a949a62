"""Decisions of people about models and runs: approve, reject, pin, roll back, cancel. Each is a field of a spec, so Git can hold it as well."""
