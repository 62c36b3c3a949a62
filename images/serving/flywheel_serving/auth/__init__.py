"""Who may ask: each request is let in or refused before its handler sees it, over REST and gRPC alike.

    authorization ──▶ gate: cached? ──no──▶ judge (one question for each token at a time) ──▶ verdict, kept 60 s or 10 s
                        │ yes                 reviews: TokenReview + LocalSubjectAccessReview
                        ▼                     tokens:  a JWT, with the issuer's keys
                     verdict ──▶ handler, or 401 / 403 / 503

Whatever cannot be decided is refused. `options` is all that a server without authentication imports from here.
"""
