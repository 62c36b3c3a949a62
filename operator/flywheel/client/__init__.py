"""The Python client: `import flywheel as fw`.

    aio, shortcuts ─▶ workspace ─▶ registry, datasets, objects ─▶ session ─▶ trial_list, predictor, downloads ─▶ transport

It reads objects by the Kubernetes API and what is stored by the reader, with the rights of the user, and never reads the store itself.
pandas, numpy, onnxruntime and the Kubernetes client are imported when they are first needed.
"""
