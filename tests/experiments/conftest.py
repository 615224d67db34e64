import json
from dataclasses import fields

import pytest

from fsim.experiments import jobs
from fsim.experiments.run import code_version, run_identity
from fsim.results.folders import replacing
from fsim.results.metrics import Metrics


@pytest.fixture
def stub_runs(monkeypatch):
    """Runs in this process leave a summary and train nothing; returns the cells that were run."""
    done = []

    def run_to_folder(loaded, folder, label, on_progress, store, *, prune, build, overwrite):
        done.append(folder.name)
        summary = {
            "schema": 1, "label": label or "float16", "status": "completed", "failure": None,
            "name": "tiny", "task": "medical", "metric": "exact_match", "target": 0.5,
            "metrics": {
                **{field.name: None for field in fields(Metrics)},
                "time_to_target_s": 10.0 * len(done), "final_accuracy": 0.5,
            },
            "facts": {"jobs_trained": 1, "jobs_reused": 0},
            "scenario_sha256": loaded.digest, "code_sha256": code_version(),
        }  # fmt: skip
        with replacing(folder, run_identity(loaded), overwrite=overwrite) as temporary:
            (temporary / "summary.json").write_text(json.dumps(summary))
        return summary

    monkeypatch.setattr(jobs, "run_to_folder", run_to_folder)
    return done
