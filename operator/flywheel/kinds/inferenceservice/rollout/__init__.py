"""A new version is judged before it answers everybody.

                     ┌───────────── front Service <name> ────────────┐ the pointer: its selector names one slot
                     ▼                                               ┊ promotion moves it, nothing restarts
    slot a: Deployment <name>  ──route.json: so much──▶  slot b: Deployment <name>-slot-b
        champion, answers itself if                          challenger
        the challenger does not                                  ▲
                     ▲                                           │
                     └──────────── judge Job reads /metrics of both ──▶ Pass | Breach | CannotMeasure

    Starting ──ready──▶ Judging (step 1, 2, …) ──all passed──▶ Promoting ──full and ready──▶ Promoted (the old one is kept warm)
                           │  ▲                                                                  │ wanted again
                  cannot   ▼  │ measured                                                         ▼
                  measure Holding      Breach ──▶ RolledBack (the version is marked)          pointer back at once

`machine` decides, on facts that `facts` gathers, and `parts` builds what stands for it. The pointer's truth is the live Service, the versions'
truth the live Deployments, and the rest is in `status.rollout`: so any moment of death is as good as another.
"""
