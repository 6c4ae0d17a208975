"""Present frames as JSON, NDJSON or CSV."""

import csv
import io
import re
from collections.abc import Sequence

from fastapi import Request, Response

from app.api.pagination import cut_page
from app.api.presenters.responses import link_next, respond_json
from app.db.tables.results import FrameScore
from app.schemas import results as schemas

NDJSON, CSV = "application/x-ndjson", "text/csv"
_QUALITY = re.compile(r"[01](\.\d{0,3})?")


def respond_frames(request: Request, rows: Sequence[FrameScore], *, limit: int) -> Response:
    """Return a page of frames in the format that ``Accept`` prefers. Pass up to ``limit + 1`` rows."""
    page, cursor = cut_page(rows, lambda frame: frame.position, limit=limit)
    frames = [schemas.Frame.model_validate(row.payload) for row in page]
    headers = {"Vary": "Accept"} | link_next(request, cursor)
    accepted = _choose_media_type(request.headers.get("accept", ""), ("application/json", NDJSON, CSV))
    if accepted == NDJSON:
        lines = "".join(frame.model_dump_json() + "\n" for frame in frames)
        return Response(lines, media_type=NDJSON, headers=headers)
    if accepted == CSV:
        return Response(_as_csv(frames), media_type=CSV, headers=headers)
    return respond_json(schemas.FramePage(items=frames, next_cursor=cursor), headers=headers)


def _choose_media_type(accept: str, offered: Sequence[str]) -> str:
    """Return the offered media type with the highest quality (RFC 9110, 12.5.1), else the first."""
    qualities = {}
    for part in accept.lower().split(","):
        media_type, *parameters = (value.strip() for value in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        qualities[media_type] = float(quality) if _QUALITY.fullmatch(quality) else 0.0
    return max(offered, key=lambda media_type: qualities.get(media_type, 0.0))


def _as_csv(frames: Sequence[schemas.Frame]) -> str:
    columns = [name for name in schemas.Frame.model_fields if name != "box"]
    box_columns = [f"box_{name}" for name in schemas.Box.model_fields]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=[*columns, *box_columns], lineterminator="\r\n")
    writer.writeheader()
    for frame in frames:
        row = frame.model_dump(mode="json")
        row.update({f"box_{name}": value for name, value in row.pop("box").items()})
        writer.writerow(row)
    return text.getvalue()
