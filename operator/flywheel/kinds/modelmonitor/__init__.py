"""A ModelMonitor: whether the traffic of a served model is still what the model was trained for.

    servers of the InferenceService ──► counts of all traffic, each minute, in the store
                                                   │
    a tick, or a request ──► monitor Job: all windows since the last run ──► state.json ──► the next run
                                │                      │
                                │                      └──► report.json, report.html
                                └──► conditions DataHealthy, NoDrift; findings; gauges

It only finds: no server restarts and no pipeline starts because of it. A run covers the windows that ended since the run before, so a lost or
late tick loses nothing; the alarms' statistics are in the state, of which each run makes the next one.
"""
