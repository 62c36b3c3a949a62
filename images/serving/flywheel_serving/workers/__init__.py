"""Computes a model in worker processes, for models whose kernels may end their process or compute without a bound.

    IsolatedModel.run -> an idle WorkerProcess --frames over a socket--> python3 -m flywheel_serving.workers -> OnnxModel
                          `- killed and replaced when it crashes, or does not come back at the time limit

`kernels` decides by the graph which models need that; all others are computed in the server's own process, which costs nothing.
"""
