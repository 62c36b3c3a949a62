"""The steps of a run: what each sort of step becomes, what it takes from steps above, and where it stands.

`execution` chooses between a Job (`jobs`), an Experiment (`train`) and a ModelVersion (`register`).
"""
