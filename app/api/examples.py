"""Examples of what goes over the wire, by the name of the schema: shown in the reference, checked by a test."""

from typing import Any

_DIGITS = "0199c1f27d0a7c3e8a51b0c2d3e4f506"
JOB_ID = f"job_{_DIGITS}"
_AT = "2026-11-23T17:00:00Z"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015" * 2

_MODEL: dict[str, Any] = {"name": "unmask-b3", "version": "0.2.1", "trained": True}
_FRAME: dict[str, Any] = {
    "track_id": "t0",
    "window": 0,
    "pts_seconds": 0.04,
    "box": {"x": 311.0, "y": 96.5, "width": 180.2, "height": 180.2},
    "detection_confidence": 0.93,
    "sharpness": 0.071,
    "brightness": 131.5,
    "unusable": None,
    "logit": 1.92,
    "probability": 0.83,
}
_RESULT: dict[str, Any] = {
    "verdict": "SUSPICIOUS",
    "probability": 0.87,
    "decided_by": "t0",
    "reasons": [],
    "warnings": [],
    "coverage": {"frames_sampled": 16, "frames_with_face": 16, "faces_max": 1, "tracks": 1},
    "tracks": [
        {
            "track_id": "t0",
            "verdict": "SUSPICIOUS",
            "probability": 0.87,
            "logit": 1.71,
            "reasons": [],
            "first_seconds": 0.0,
            "last_seconds": 9.8,
            "face_frames": 16,
            "usable_frames": 16,
            "median_face_px": 180.0,
        }
    ],
    "clip": {
        "container": "mp4",
        "codec": "h264",
        "width": 1280,
        "height": 720,
        "rotation_degrees": 0,
        "duration_seconds": 10.0,
        "fps": 29.97,
        "bit_depth": 8,
    },
    "model": _MODEL | {"weights_sha256": _SHA256, "calibrated": True},
    "timings": {"extract_seconds": 0.51, "score_seconds": 0.14},
    "recommended_action": "review",
    "policy": {
        "id": f"pol_{_DIGITS}",
        "name": "default",
        "version": 3,
        "suspicious_at": 0.84,
        "suspicious_false_positive_rate": 0.1,
        "manipulated_at": 0.91,
        "manipulated_false_positive_rate": 0.01,
        "calibration_sha256": _SHA256,
    },
}
_JOB: dict[str, Any] = {
    "id": JOB_ID,
    "object": "job",
    "status": "succeeded",
    "priority": "live",
    "verdict": "SUSPICIOUS",
    "recommended_action": "review",
    "external_id": "post-123",
    "metadata": {"queue": "ugc"},
    "model": None,
    "policy_id": f"pol_{_DIGITS}",
    "clip": {"name": "clip.mp4", "url": None, "sha256": _SHA256, "bytes": 1048576, "deleted_at": None},
    "attempts": 1,
    "deduplicated_from": None,
    "reanalysis_of": None,
    "batch_id": None,
    "queue_position": None,
    "progress": None,
    "failure": None,
    "result": _RESULT,
    "start_before": None,
    "created_at": _AT,
    "started_at": "2026-11-23T17:00:01Z",
    "finished_at": "2026-11-23T17:00:02Z",
    "links": {
        "self": f"/v1/jobs/{JOB_ID}",
        "result": f"/v1/jobs/{JOB_ID}/result",
        "frames": f"/v1/jobs/{JOB_ID}/frames",
        "events": f"/v1/jobs/{JOB_ID}/events",
    },
}
_ENDPOINT: dict[str, Any] = {
    "id": f"we_{_DIGITS}",
    "object": "webhook_endpoint",
    "url": "https://moderation.example.com/unmask",
    "description": "moderation queue",
    "events": ["job.succeeded", "job.failed"],
    "jobs": "all",
    "payload": "thin",
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "created_at": _AT,
}
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="  # noqa: S105 (nobody's)
_CHANGES: dict[str, Any] = {"events": ["job.succeeded", "job.failed"], "payload": "full"}

_JOB_REQUEST: dict[str, Any] = {
    "source": {"url": "https://cdn.example.com/post-123.mp4"},
    "options": {"external_id": "post-123"},
}
_BATCH: dict[str, Any] = {
    "id": f"batch_{_DIGITS}",
    "object": "batch",
    "status": "partially_failed",
    "jobs": {"succeeded": 98, "failed": 2},
    "created_at": _AT,
    "completed_at": "2026-11-23T17:03:10Z",
}
_UPLOAD: dict[str, Any] = {
    "id": f"up_{_DIGITS}",
    "object": "upload",
    "status": "incomplete",
    "name": "clip.mp4",
    "bytes": 104857600,
    "received_bytes": 52428800,
    "sha256": None,
    "created_at": _AT,
    "expires_at": "2026-11-24T17:00:00Z",
}
_UPLOAD_URL: dict[str, Any] = {
    "upload_url": "/v1/direct-uploads/vK3yq0Vn2b3Yx1o9c5T7mPq8rS4tU6wX0zA1bC2dE3f",
    "upload_url_expires_at": "2026-11-23T17:10:00Z",
}
_POLICY_REQUEST: dict[str, Any] = {
    "name": "default",
    "description": "tenth of the reals to the moderators, one in a hundred at once",
    "suspicious_false_positive_rate": 0.1,
    "manipulated_false_positive_rate": 0.01,
    "actions": {"manipulated": "block", "suspicious": "review", "authentic": "allow", "not_evaluated": "review"},
}
_POLICY: dict[str, Any] = _POLICY_REQUEST | {
    "id": f"pol_{_DIGITS}",
    "object": "policy",
    "version": 3,
    "created_at": _AT,
}
_CALIBRATION: dict[str, Any] = {
    "model": "unmask-b3",
    "version": "0.2.1",
    "calibrated": True,
    "real_clips": 83,
    "suspicious_at": 0.89,
    "suspicious_false_positive_rate": 0.05,
    "manipulated_at": 0.91,
    "manipulated_false_positive_rate": 0.01,
    "operating_points": [
        {"threshold": 0.91, "false_positive_rate": 0.01, "true_positive_rate": 0.46},
        {"threshold": 0.84, "false_positive_rate": 0.1, "true_positive_rate": 0.54},
    ],
}
_SAID: dict[str, Any] = {"label": "fake", "category": "face swap", "note": "the original is on the news site"}
_FEEDBACK: dict[str, Any] = _SAID | {"id": f"fb_{_DIGITS}", "created_at": _AT}

EXAMPLES: dict[str, dict[str, Any]] = {
    "AuditPage": {
        "items": [
            {
                "actor": "1f0c9a2b",
                "action": "job.deleted",
                "target": JOB_ID,
                "request_id": "req_0199c1f27d0a7c3e8a51b0c2d3e4f506",
                "at": _AT,
            }
        ],
        "next_cursor": None,
    },
    "Batch": _BATCH,
    "BatchRequest": {"items": [_JOB_REQUEST]},
    "CalibrationList": {"items": [_CALIBRATION]},
    "ClipUpload": _UPLOAD,
    "ClipUploadWithUrl": _UPLOAD | {"received_bytes": 0} | _UPLOAD_URL,
    "JobRequest": _JOB_REQUEST,
    "Policy": _POLICY,
    "PolicyPage": {"items": [_POLICY], "next_cursor": None},
    "PolicyRequest": _POLICY_REQUEST,
    "ReanalysisRequest": {"policy": "strict"},
    "Simulation": {
        "jobs": 10000,
        "flips": 312,
        "verdicts": {"AUTHENTIC": 9400, "SUSPICIOUS": 500, "MANIPULATED": 100},
        "verdicts_then": {"AUTHENTIC": 9088, "SUSPICIOUS": 812, "MANIPULATED": 100},
        "examples": [
            {
                "job_id": JOB_ID,
                "verdict": "AUTHENTIC",
                "recommended_action": "allow",
                "verdict_then": "SUSPICIOUS",
                "recommended_action_then": "review",
            }
        ],
    },
    "SimulationRequest": {"created_after": _AT, "jobs_max": 10000},
    "UploadRequest": {"name": "clip.mp4", "bytes": 104857600, "sha256": _SHA256},
    "UploadUrl": _UPLOAD_URL,
    "Feedback": _FEEDBACK,
    "FeedbackList": {"items": [_FEEDBACK]},
    "FeedbackRequest": _SAID,
    "FramePage": {"items": [_FRAME], "next_cursor": None},
    "Health": {"status": "ok", "checks": {"database": "ok", "storage": "ok", "queue": "ok"}},
    "Job": _JOB,
    "JobPage": {"items": [_JOB], "next_cursor": None},
    "ModelList": {"items": [_MODEL]},
    "RecoverRequest": {"since": _AT},
    "Recovered": {"events": 12},
    "Result": _RESULT,
    "RotateRequest": {"overlap_seconds": 86_400},
    "WebhookDeliveryPage": {
        "items": [
            {
                "event_id": f"evt_{_DIGITS}",
                "type": "job.succeeded",
                "at": _AT,
                "status_code": 204,
                "error": None,
                "seconds": 0.08,
                "next_at": None,
            }
        ],
        "next_cursor": None,
    },
    "WebhookEndpoint": _ENDPOINT,
    "WebhookEndpointChanges": _CHANGES,
    "WebhookEndpointPage": {"items": [_ENDPOINT], "next_cursor": None},
    "WebhookEndpointRequest": _CHANGES | {"url": _ENDPOINT["url"]},
    "WebhookEndpointWithSecret": _ENDPOINT | {"secret": _SECRET},
    "WebhookEventReference": {"id": f"evt_{_DIGITS}"},
    "WebhookSecret": {"secret": _SECRET, "previous_secret_until": None},
}
