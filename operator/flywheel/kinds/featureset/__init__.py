"""A FeatureSet: features that are defined once, by SQL over a row and by what other rows said before it.

    spec changes ────────────┐
    a Dataset's new version ─┼─► check Job ──► passed ──► feature_set.json, an artifact ──► Ready
    a request ───────────────┘     │  ▲                   (the same features are the same version)
                                   │  └── pause ◄── infrastructure broke
                                   └────► failed ─► Stalled until the spec or a Dataset changes

The check binds every feature to the columns of its Datasets. Whoever trains pins the digest of the definition, so a FeatureSet that
changes later changes no model. What a champion needs cannot be deleted: status.neededBy names it, and a policy of the chart refuses.
"""
