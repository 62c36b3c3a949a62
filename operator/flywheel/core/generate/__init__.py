"""Generators of CRDs and RBAC rules from the kinds."""
