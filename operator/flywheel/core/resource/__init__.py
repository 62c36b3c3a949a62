"""The resource model: APIs, schemas, kinds, names, plans and conditions."""
