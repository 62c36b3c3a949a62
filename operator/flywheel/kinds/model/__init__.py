"""Model: a name that lasts, and the rule by which one of its versions is champion.

    ModelVersion ──Ready?──▶ gates ──pass──▶ better than the champion, ──yes──▶ champion ──▶ InferenceServices follow
                    │          │             on the same test data?
                    ▼          ▼                     │ no
                 NotReady   GateFailed    NotBetter, NotComparable, …           spec.champion overrules all of this

A gate that needs rows is measured by a Job of the ModelVersion that `status.challenger` names, one at a time; the result is read from its
status. Each change of champion is recorded in the store by a Job `promote`, for which nothing waits. The status has the champion and the
history of champions. Versions beyond `spec.retention` that an Experiment made and nothing uses are deleted.
"""
