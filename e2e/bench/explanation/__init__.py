"""What explanations cost.

__main__.py     runs those of `make bench-explanation`, and writes results/explanation.json and .md
models.py       the models, the same in both environments
shap_peer.py    shap's contributions and times, in an environment of its own
"""
