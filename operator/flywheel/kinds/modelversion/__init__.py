"""ModelVersion: one immutable set of bytes, and the proof that it predicts.

    source (artifact | s3 | http, sha256)
       │
       ▼
    verify Job in the serving image ──cannot reach it──▶ pause ──▶ next attempt
       │                 │
       │ predicts        └──refused (DigestMismatch, NotONNX, …)──▶ Stalled
       ▼
    Ready: digest, metrics, signature ──▶ the Model decides whether it is champion

`spec.source` may be an artifact that an Experiment trained, served as it is, or a file from elsewhere, which verify packs into an artifact.
The spec never changes, but for where and with what the Job runs. Setting annotation `flywheel.ml/verify-requested` verifies again.
"""
