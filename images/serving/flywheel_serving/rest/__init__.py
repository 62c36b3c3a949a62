"""The protocol's REST form: routes, JSON and binary bodies, OpenAPI."""
