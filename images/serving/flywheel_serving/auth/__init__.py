"""Authentication and authorization: each request is admitted or refused before its handler runs, over REST and gRPC alike.

    authorization --> Authenticator: cached? --no--> TokenReviewer (one review of a token at a time) --> Verdict, cached 60 s or 10 s
                        | yes                          kubernetes_review: TokenReview + LocalSubjectAccessReview
                        v                              jwt_review: a JWT, verified with the issuer's keys
                      Verdict --> handler, or 401 / 403 / 503

What cannot be decided is refused. A server without authentication imports `config` alone.
"""
