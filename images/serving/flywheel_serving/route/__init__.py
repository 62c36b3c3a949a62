"""Sends a part of a server's requests to a challenger, so that no client is harmed by it.

    route.json --> Router --+-- Canary: TrafficSplit -> Breaker -> ConnectionPool -- valid response ------> client
    (ConfigMap)             |               `- local model           `- failed, late or invalid -> local model -> client
                            +-- Shadow: local model -> client; then a copy -> ConnectionPool -> compare -> TopDifferences

The server that has a route is the champion: its local model answers whatever the challenger does not. Without a
route.json nothing here runs; the data plane reads one attribute.
"""
