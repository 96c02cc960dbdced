"""What the scenarios declare: small, quick models, and policies that train without rest."""

from typing import Any

from tests.cluster.store import MODELS_CLAIM
from tests.e2e.market import FEATURES

Object = dict[str, Any]
API_VERSION = "perennial.dev/v1alpha1"
TOKEN_SECRET = "outcomes-token"
STORE_SECRET = "samples-store"
BOOK = "book"


def secret(name: str, **values: str) -> Object:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def model(name: str, *, table: str = "samples", **spec: Any) -> Object:
    """A ModelDeployment whose outcomes take a second. Keyword arguments replace whole fields of the spec."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": name, "labels": {BOOK: "spot"}},
        "spec": {
            "algorithm": {"name": "xgboost", "parameters": {"num_boost_round": 60, "max_depth": 2, "eta": 0.2}},
            "samples": {
                "readUrlFrom": {"name": STORE_SECRET, "key": "read"},
                "writeUrlFrom": {"name": STORE_SECRET, "key": "write"},
                "table": table,
                "features": list(FEATURES),
                "labelDelay": "1s",
            },
            "artifacts": {"claimName": MODELS_CLAIM},
            "server": server(replicas=1),
            # With 2 replicas: one live canary pod beside them, then two.
            "canary": {"steps": [0.34, 0.5], "minStepDuration": "5s", "minOutcomes": 300, "maxDuration": "1h"},
            "health": {"window": "7d"},
            "rollback": {"window": "30s"},
            "interval": "2s",
            **spec,
        },
    }


def server(replicas: int) -> Object:
    """Pods that ask for little."""
    return {
        "replicas": replicas,
        "outcomes": {"tokenFrom": {"name": TOKEN_SECRET, "key": "token"}},
        "resources": {"requests": {"cpu": "40m", "memory": "96Mi"}},
    }


def policy(name: str = "spot", *, training: Object | None = None, **spec: Any) -> Object:
    """A RetrainPolicy for every model of the book. Fields of training are added, others of the spec replaced."""
    return {
        "apiVersion": API_VERSION,
        "kind": "RetrainPolicy",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {BOOK: "spot"}},
            "training": {
                # A first version learns from everything, later ones from what came after the market's turn.
                "dataWindow": "36h",
                "dataWindows": {"Missing": "7d"},
                "holdout": {"share": 0.5, "minRows": 200},
                "timeout": "5m",
                "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}},
                **(training or {}),
            },
            "limits": {"maxParallel": 2, "cooldown": "0s", "maxPerDay": 100},
            **spec,
        },
    }
