"""MLflow's side, in an environment of its own: `python peer_mlflow.py RUNS.json DATABASE`.

It fills a SQLite database with the runs, by the tables of MLflow's own schema, and then answers each line of stdin, arguments of
`mlflow.search_runs` as JSON, with a line of JSON: the seconds that the search took, and the ids and the best value that it found.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore


def main() -> int:
    runs_path, database = Path(sys.argv[1]), f"sqlite:///{sys.argv[2]}"
    mlflow.set_tracking_uri(database)
    experiment = mlflow.create_experiment("search")
    fill(SqlAlchemyStore(database, str(runs_path.parent)), int(experiment), json.loads(runs_path.read_text()))
    print(json.dumps({"version": mlflow.__version__}), flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        found = mlflow.search_runs([experiment], **json.loads(line))
        seconds = time.perf_counter() - started
        best = found["metrics.roc_auc"].iloc[0] if len(found) else None
        print(json.dumps({"seconds": seconds, "rows": len(found), "best": best}), flush=True)
    return 0


def fill(store: SqlAlchemyStore, experiment: int, runs: list[dict[str, Any]]) -> None:
    """Inserts the runs; logging them one by one would take minutes and give the same rows."""
    with store.ManagedSessionMaker() as session:
        for run in runs:
            run_id = f"{run['number']:032x}"
            state = "FINISHED" if run["metrics"] else "FAILED"
            start = run["start"] * 1000
            session.add(
                SqlRun(
                    run_uuid=run_id, name=f"trial-{run['number']}", source_type="LOCAL", user_id="bench", status=state,
                    start_time=start, end_time=start + 60_000, lifecycle_stage="active", artifact_uri=f"file:///{run_id}",
                    experiment_id=experiment,
                )
            )  # fmt: skip
            parameters = {**run["parameters"], "estimator": run["estimator"]}
            session.add_all(SqlParam(key=key, value=str(value), run_uuid=run_id) for key, value in parameters.items())
            session.add_all(SqlTag(key=key, value=value, run_uuid=run_id) for key, value in run["tags"].items())
            for key, value in run["metrics"].items():
                row = {"key": key, "value": value, "timestamp": start, "step": 0, "is_nan": False, "run_uuid": run_id}
                session.add(SqlMetric(**row))
                session.add(SqlLatestMetric(**row))


if __name__ == "__main__":
    sys.exit(main())
