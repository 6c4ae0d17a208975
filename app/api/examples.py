"""Examples of what goes over the wire, by the name of the schema: shown in the reference, checked by a test."""

from typing import Any

_DIGITS = "0199c1f27d0a7c3e8a51b0c2d3e4f506"
JOB_ID = f"job_{_DIGITS}"
_AT = "2026-11-23T17:00:00Z"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015" * 2

_MODEL: dict[str, Any] = {"name": "unmask-b3", "version": "0.2.0", "trained": True}
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
}
_JOB: dict[str, Any] = {
    "id": JOB_ID,
    "object": "job",
    "status": "succeeded",
    "priority": "live",
    "verdict": "SUSPICIOUS",
    "external_id": "post-123",
    "metadata": {"queue": "ugc"},
    "model": None,
    "clip": {"name": "clip.mp4", "sha256": _SHA256, "bytes": 1048576, "deleted_at": None},
    "attempts": 1,
    "deduplicated_from": None,
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

_SAID: dict[str, Any] = {"label": "fake", "category": "face swap", "note": "the original is on the news site"}
_FEEDBACK: dict[str, Any] = _SAID | {"id": f"fb_{_DIGITS}", "created_at": _AT}

EXAMPLES: dict[str, dict[str, Any]] = {
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
    "WebhookEndpointList": {"items": [_ENDPOINT]},
    "WebhookEndpointRequest": _CHANGES | {"url": _ENDPOINT["url"]},
    "WebhookEndpointWithSecret": _ENDPOINT | {"secret": _SECRET},
    "WebhookEventReference": {"id": f"evt_{_DIGITS}"},
    "WebhookSecret": {"secret": _SECRET, "previous_secret_until": None},
}
