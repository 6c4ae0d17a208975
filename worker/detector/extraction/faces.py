"""Face detection with MediaPipe BlazeFace, full range."""

import math
from importlib.resources import files

import mediapipe
from mediapipe.tasks.python import BaseOptions, vision

from worker.detector.types import Box, Face, Image

_RIGHT_EYE, _LEFT_EYE = 0, 1  # order of MediaPipe's keypoints; the person's right eye is on the left of the image


class FaceDetector:
    """Detector of faces in frames. Not thread-safe.

    MediaPipe resolves a host name of its vendor unless sockets are denied.
    """

    def __init__(self, *, confidence_min: float) -> None:
        model = files("worker").joinpath("weights/face_detection_full_range_sparse.tflite").read_bytes()
        self._detector = vision.FaceDetector.create_from_options(
            vision.FaceDetectorOptions(
                base_options=BaseOptions(model_asset_buffer=model),
                running_mode=vision.RunningMode.IMAGE,
                min_detection_confidence=confidence_min,
            )
        )

    def detect_faces(self, image: Image) -> list[Face]:
        """Return the faces of a contiguous picture, the largest first. Boxes are square.

        The model sees the picture at 192x192 pixels. Faces below a twentieth of the longer side are often missed.
        """
        height, width = image.shape[:2]
        faces = []
        found = self._detector.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))
        for detection in found.detections:
            box = detection.bounding_box
            right, left = detection.keypoints[_RIGHT_EYE], detection.keypoints[_LEFT_EYE]
            roll = math.atan2((left.y - right.y) * height, (left.x - right.x) * width)
            faces.append(
                Face(
                    box=Box(box.origin_x, box.origin_y, box.width, box.height),
                    confidence=detection.categories[0].score,
                    roll_degrees=math.degrees(roll),
                )
            )
        return sorted(faces, key=lambda face: -face.box.width)

    def close(self) -> None:
        """Release the graph. Otherwise the interpreter may report errors at exit."""
        self._detector.close()
