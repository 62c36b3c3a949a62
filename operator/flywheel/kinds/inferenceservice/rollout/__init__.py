"""Progressive delivery: a new version is measured before it serves all traffic.

                     ┌───────────── front Service <name> ────────────┐ the pointer: its selector names one slot
                     ▼                                               ┊ a promotion moves it, and no pod restarts
    slot a: Deployment <name>  ──route.json: a share──▶  slot b: Deployment <name>-slot-b
        champion, which responds itself if                   challenger
        the challenger does not                                  ▲
                     ▲                                           │
                     └──────────── judge Job reads /metrics of both ──▶ Pass | Breach | CannotMeasure

    Starting ──ready──▶ Judging (step 1, 2, …) ──all passed──▶ Promoting ──all ready──▶ Promoted (the old one stays on standby)
                           │  ▲                                                             │ wanted again
                  cannot   ▼  │ measured                                                    ▼
                  measure Holding      Breach ──▶ RolledBack (the version is rejected)      the pointer moves back at once

    Until it is Promoted or RolledBack, a rollout is Aborted, which rejects no version, if a user aborts it, the champion is wanted again,
    or no server should run.

`state_machine` decides on the facts that `observe` reads, in the types that `context` narrows; `canary_analysis` has the rules of one
step and its judge, and `capacity` says whether servers lack a resource that cannot be shared, such as a GPU. Each rule returns one of
the transitions of `transition`, from which `children` builds the objects. The live front Service is the truth of the pointer, the live
Deployments are that of the versions, and the rest is in `status.rollout`. So the operator may stop at any moment and go on from there.
"""
