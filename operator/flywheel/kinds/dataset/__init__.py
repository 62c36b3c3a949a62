"""A Dataset: data that is checked, split and versioned before a model is trained on it.

    spec changes ─┐
    a tick ───────┼─► check Job ──► passed ──► version flights-3f9a1c2e ──► Ready
    a request ────┘     │  ▲                    (the same content is the same version)
                        │  └── pause ◄── infrastructure broke, or the source is not there yet
                        └────► failed ─► Stalled; or the last good version stands; or the next tick

The check reads the source, compares it with the spec and with the last good version, and writes train, validation and test as one
artifact. The CronJob of a schedule never starts a pod: each of its Jobs is a tick, which starts a check and is then marked Complete.
"""
