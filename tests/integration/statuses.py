"""A status of each kind with every field set, so that a field which the CRD forgot is missed."""

from datetime import UTC, datetime

from perennial.api.base import Status
from perennial.api.conditions import with_kstatus
from perennial.api.model_deployment_status import ModelDeploymentStatus
from perennial.api.model_version import ModelVersionStatus
from perennial.api.retrain_policy import RetrainPolicyStatus

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
AT = "2026-03-01T12:00:00Z"
DIGEST = f"sha256:{'0' * 64}"
ARTIFACT = {"uri": "file:///artifacts/a", "digest": DIGEST}
TRACK = {"version": "btc-v1", "uid": "u1", "weight": 0.9, "readyReplicas": 2}
EVIDENCE = {"pairs": 10, "effectivePairs": 4.5, "blocks": 3, "utilityDifference": 0.1, "eValue": 1.5, "harm": 0.5}
SCORE = {
    "version": "btc-v1",
    "acted": 100,
    "wins": 55,
    "winRate": 0.55,
    "averageReward": 0.01,
    "brier": 0.24,
    "meanScore": 0.5,
    "scoreSpread": 0.1,
    "longShare": 0.4,
    "finite": True,
}
STATUSES: dict[str, Status] = {
    "ModelDeployment": ModelDeploymentStatus.model_validate(
        {
            "observedGeneration": 1,
            "phase": "Canary",
            "endpoint": "http://btc.default.svc:8080/v2/models/btc",
            "lastRevision": 2,
            "stable": TRACK,
            "canary": {
                "version": "btc-v2",
                "uid": "u2",
                "step": 0,
                "weight": 0.1,
                "observedWeight": 0.08,
                "startedAt": AT,
                "stepStartedAt": AT,
                "evidence": EVIDENCE | {"coverage": 0.99},
                "message": "m",
            },
            "incoming": {"version": "btc-v2", "uid": "u2", "reason": "Promote", "since": AT},
            "previous": {"version": "btc-v0", "uid": "u0", "replacedAt": AT, "warmUntil": AT}
            | {"evidence": EVIDENCE | {"coverage": 0.97}},
            "outcomes": [{"version": "btc-v0", "uid": "u0", "phase": "Archived", "reason": "Replaced", "at": AT}],
            "drift": {
                "state": "Suspected",
                "reason": "FeaturesSuspected",
                "message": "1 of 3 columns",
                "features": [{"name": "x", "psi": 0.4, "qValue": 0.01, "sign": "PSI"}],
                "scores": {"psi": 0.1, "qValue": 0.7},
                "rows": 720,
                "judged": 3,
                "unjudged": 1,
                "windowFrom": AT,
                "windowUntil": AT,
                "evidenceUntil": AT,
                "version": "btc-v1",
            },
            "health": {
                "state": "Degraded",
                "reason": "WinRateBelowMinimum",
                "message": "46 %",
                "trend": "Declining",
                "winRate": {
                    "value": 0.456789,
                    "lower": 0.44,
                    "upper": 0.47,
                    "outcomes": 3000,
                    "effectiveOutcomes": 900,
                },
                "averageReward": -0.1,
                "profitFactor": 0.9,
                "brier": 0.25,
                "calibrationError": 0.04,
                "perfectCalibrationError": 0.02,
                "spiegelhalterZ": 2.1,
                "cusum": {"value": 3.5, "threshold": 5.6, "since": AT},
                "earlyEstimate": {"winRate": 0.51, "predictions": 12, "calibrated": True},
                "meanConfidence": 0.55,
                "samples": 3100,
                "resolved": 3000,
                "overdue": 1,
                "late": 2,
                "windowFrom": AT,
                "windowUntil": AT,
                "evidenceUntil": AT,
                "version": "u1",
            },
            "regime": {
                "state": "Changed",
                "reason": "OtherRegime",
                "message": "Turbulent",
                "current": "Turbulent",
                "probability": 0.93,
                "trainedOn": "Calm",
                "candidate": "Turbulent",
                "candidateSince": AT,
                "evidenceUntil": AT,
                "version": "btc-v1",
            },
            "conditions": with_kstatus([], "Ready", "Serving", "btc-v1 serves", generation=1, now=NOW),
        }
    ),
    "RetrainPolicy": RetrainPolicyStatus.model_validate(
        {
            "observedGeneration": 1,
            "nextScheduleTime": AT,
            "lastScheduleTime": AT,
            "models": 2,
            "retrainToken": "again",
            "plan": {
                "id": "plan-20260301-120000",
                "createdAt": AT,
                "estimatedDuration": "30m",
                "jobs": [
                    {
                        "model": "btc",
                        "version": "btc-v2",
                        "priority": "High",
                        "trigger": "Health",
                        "reason": "HealthDegraded",
                        "message": "46 %",
                        "state": "Waiting",
                        "waitingFor": "CoolDown",
                        "notBefore": AT,
                        "estimatedSeconds": 900.5,
                        "estimatedFrom": 3,
                    }
                ],
            },
            "conditions": with_kstatus([], "Reconciling", "Planning", "2 jobs", generation=1, now=NOW),
        }
    ),
    "ModelVersion": ModelVersionStatus.model_validate(
        {
            "observedGeneration": 1,
            "phase": "Canary",
            "specDigest": DIGEST,
            "approval": "Approved",
            "acknowledged": {"perennial.dev/approve": "yes"},
            "trainingSeconds": 12.5,
            "startedAt": AT,
            "evaluatedAt": AT,
            "finishedAt": AT,
            "resolved": {
                "revision": 1,
                "algorithm": {"name": "xgboost", "parameters": {"max_depth": 6, "nested": {"list": [1, "a"]}}},
                "samples": {"labelDelay": "12h", "features": ["ret_1"]},
                "decision": {"rule": "Selection", "threshold": 0.53},
                "artifacts": {"claimName": "models"},
                "training": {"dataWindows": {"Regime": "180d"}, "resources": {"limits": {"cpu": "2"}}},
                "promotion": {"deployAbove": 0.04},
                "regime": {"column": "ret_1", "lookback": 2000},
                "champion": {
                    "name": "btc-v0",
                    "uid": "u0",
                    "artifact": {"uri": "file:///artifacts/a", "digest": DIGEST},
                },
                "startedAt": AT,
                "alphaPreviousHoldoutUntil": AT,
            },
            "job": {"name": "btc-v1-a1", "attempt": 1, "state": "Running", "startedAt": AT, "retryAt": AT},
            "artifact": {"uri": "file:///artifacts/a", "digest": DIGEST, "bytes": 2**40},
            "dataset": {
                "rows": 9000,
                "from": AT,
                "until": AT,
                "holdoutFrom": AT,
                "holdoutUntil": AT,
                "fingerprint": DIGEST,
            },
            "evaluation": {
                "challenger": SCORE,
                "champion": SCORE,
                "lift": 0.04312345678,
                "lowerBound": -0.01,
                "alpha": 0.05,
                "freshShare": 0.5,
                "probabilityBetter": 0.93,
                "brierDifference": -0.001,
                "outcomes": 3240,
                "effectiveOutcomes": 270.5,
                "blocks": 120,
                "blockLength": 24,
            },
            "verdict": {"decision": "Canary", "reason": "BetterButUncertain", "message": "lift +4.3%", "at": AT},
            "conditions": with_kstatus([], "Stalled", "NoData", "no rows", generation=1, now=NOW),
        }
    ),
}
