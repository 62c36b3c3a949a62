"""The route inside the champion's server: a share of its requests goes to a challenger, and no user pays for that.

    route.json --file--> Router --+-- Canary: share -> breaker -> pool -> wire ---- right answer --> client
    (ConfigMap)                   |             `- kept      `- failed, late or nonsense -> the champion answers
                                  +-- Shadow: the champion answers; then a copy -> pool -> wire -> compare -> worst examples

Without a route.json nothing here runs: the dataplane looks at one attribute.
"""
