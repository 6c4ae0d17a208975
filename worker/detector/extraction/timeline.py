"""Timeline of a film: the times of its packets, its length and its keyframes.

Headers lie, and clocks restart where recordings were joined. So the times are those of the packets: of the complete
sample tables of an MP4 file, else of one pass over the file that decodes nothing.
"""

from array import array
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt
from av.index import IndexEntries
from av.packet import Packet
from av.video.stream import VideoStream

Integers = npt.NDArray[np.int64]
Seconds = npt.NDArray[np.float64]

_COLUMNS = 6
_MISSING = -(2**63)
"""Time of a packet without one."""
_PAUSE_SECONDS = 5.0
"""Longest step between two frames that counts as film: a longer pause shows nothing new."""
_ROUNDING_SECONDS = 1e-6
"""Tolerance of sums of steps."""
_JUMP_SECONDS = 60.0
"""Shortest step between two frames that is a fault of the clock, as between joined recordings."""
_JITTER_SECONDS = 0.5
"""Longest step back that is an inaccuracy of the container, unless a keyframe follows it."""


class PacketList:
    """Packets of a stream in file order. Times are in units of the stream's time base."""

    def __init__(self) -> None:
        self._rows = array("q")  # of one packet after the other, as in Timeline

    def __len__(self) -> int:
        return len(self._rows) // _COLUMNS

    def add(self, packet: "Packet[VideoStream]") -> None:
        """Add a packet."""
        dts, pts = (_MISSING if time is None else time for time in (packet.dts, packet.pts))
        position = -1 if packet.pos is None else packet.pos
        self._rows.extend((dts, pts, packet.is_keyframe, packet.size, position, packet.is_discard))

    def add_index(self, entries: IndexEntries, *, start_pts: int, file_bytes: int) -> bool:
        """Add the entries of a complete index, without those beyond the end of a truncated file.

        Entries before the start of an edit list are decoded, but not shown.

        Returns:
            False if the file is truncated.
        """
        shown = next((entry.timestamp for entry in entries if not entry.is_discard), start_pts)
        for entry in entries:
            if entry.size and entry.pos + entry.size <= file_bytes:
                times = (entry.timestamp, entry.timestamp - shown + start_pts)
                self._rows.extend((*times, entry.is_keyframe, entry.size, entry.pos, entry.is_discard))
        return len(self) == sum(entry.size > 0 for entry in entries)

    def make_timeline(self, time_base: Fraction, *, step_seconds: float, is_complete: bool) -> "Timeline":
        """Return the timeline of at least one packet."""
        rows: Integers = np.array(self._rows, np.int64).reshape(-1, _COLUMNS)
        dts, pts = rows[:, 0], rows[:, 1]
        known = np.flatnonzero(dts != _MISSING)
        if len(known):  # a packet without a time has that of the one before, the first ones that of the next
            dts[:] = dts[known[np.maximum(np.searchsorted(known, np.arange(len(dts)), side="right") - 1, 0)]]
        else:
            dts[:] = np.where(pts == _MISSING, 0, pts)
        pts[:] = np.where(pts == _MISSING, dts, pts)
        return Timeline(rows, time_base, step_seconds=step_seconds, is_complete=is_complete)


class Timeline:
    """Times of the packets of a film. A packet is named by its number in file order, from 0.

    The clock of a film may restart or jump. The packets between two such faults are a segment.

    Args:
        rows: (N, 6) dts, pts, is keyframe, size, position and is hidden, for each packet.
        time_base: Unit of the times in seconds.
        step_seconds: Distance of two frames, if there is only one.
        is_complete: False if the limit of packets ended the pass over the file.
    """

    def __init__(self, rows: Integers, time_base: Fraction, *, step_seconds: float, is_complete: bool) -> None:
        self.is_complete = is_complete
        self._time_base = float(time_base)
        self._dts, pts, is_keyframe, self._sizes, self._positions, is_hidden = np.ascontiguousarray(rows.T)
        self._keyframes: Integers = np.flatnonzero(is_keyframe)
        if len(rows) > 1 and len(np.unique(self._dts)) < len(rows) / 2:  # the packets have no times of their own
            self._dts = pts = np.round(np.arange(len(rows)) * step_seconds / self._time_base).astype(np.int64)
        steps: Seconds = np.diff(self._dts) * self._time_base
        is_back = (steps < -_JITTER_SECONDS) | ((steps < 0) & (is_keyframe[1:] > 0))
        self._starts: Integers = np.append(0, 1 + np.flatnonzero(is_back | (steps > _JUMP_SECONDS)))
        """First packet of each segment."""
        self._stops: Integers = np.append(self._starts[1:], len(rows))
        segments = np.repeat(np.arange(len(self._starts)), self._stops - self._starts)
        order = np.lexsort((pts, segments))
        self._shown_pts: Integers = pts[order]
        """Presentation times in order, segment by segment."""
        is_hidden = is_hidden[order] > 0
        steps = np.diff(self._shown_pts) * self._time_base
        usual = steps[(steps > 0) & (steps <= _JUMP_SECONDS)]
        self.step_seconds = float(np.median(usual)) if len(usual) else step_seconds
        """Usual distance of two frames."""
        steps = np.append(steps, self.step_seconds)
        steps[self._stops - 1] = self.step_seconds
        steps[steps > _JUMP_SECONDS] = self.step_seconds
        steps[is_hidden] = 0.0
        self.film_seconds: Seconds = np.append(0.0, np.minimum(steps, _PAUSE_SECONDS).cumsum())
        """(N + 1,) amount of film before each frame, and in total. Pauses are left out."""
        # Exact sums; a step is at least one unit of the clock.
        ticks: Integers = np.maximum(np.rint(steps / self._time_base), steps > 0).astype(np.int64)
        self._shown_seconds: Seconds = np.append(0, ticks.cumsum()) * self._time_base
        """(N + 1,) time of each frame in a player, and the end."""

    def __len__(self) -> int:
        return len(self._dts)

    @property
    def duration_seconds(self) -> float:
        """Duration of the clip in a player, without faults of the clock."""
        return float(self._shown_seconds[-1])

    @property
    def has_one_clock(self) -> bool:
        """True if the clock neither restarts nor jumps."""
        return len(self._starts) == 1

    def get_segment(self, number: int) -> range:
        """Return the packets of the segment of a packet."""
        segment = self._find_segment(number)
        return range(int(self._starts[segment]), int(self._stops[segment]))

    def find_range(self, start_seconds: float, end_seconds: float) -> range:
        """Return the frames that a player shows between two times, in order of presentation; may be empty."""
        first, stop = np.searchsorted(self._shown_seconds[:-1], [start_seconds - _ROUNDING_SECONDS, end_seconds])
        return range(int(first), int(max(stop, first)))

    def get_dts(self, number: int) -> int:
        """Return the decoding time of a packet."""
        return int(self._dts[number])

    def get_position(self, number: int) -> int:
        """Return the position of a packet in the file, -1 if the container does not tell it."""
        return int(self._positions[number])

    def estimate_pts(self, number: int) -> int:
        """Return the presentation time of a packet if frames were stored in the order of presentation."""
        return int(self._shown_pts[number])

    def to_seconds(self, number: int, pts: int) -> float:
        """Return the time of a frame in a player. ``number`` is any packet of its segment."""
        segment = self.get_segment(number)
        shown, seconds = self._find_shown(segment, pts)
        if seconds > _JUMP_SECONDS and segment.stop < len(self):
            # The packet of a frame behind a jump of the clock may come before it, if frames refer to later ones.
            shown, seconds = self._find_shown(self.get_segment(segment.stop), pts)
        return float(self._shown_seconds[shown] + np.clip(seconds, -_JITTER_SECONDS, _JUMP_SECONDS))

    def _find_shown(self, segment: range, pts: int) -> tuple[int, float]:
        """Return the last frame of a segment that is shown at or before a time, and the seconds since."""
        count = int(np.searchsorted(self._shown_pts[segment.start : segment.stop], pts, side="right"))
        shown = segment.start + max(count - 1, 0)
        return shown, (pts - int(self._shown_pts[shown])) * self._time_base

    def find_keyframe(self, number: int) -> int | None:
        """Return the last keyframe at or before a packet, in its segment; None if there is none."""
        index = int(np.searchsorted(self._keyframes, number, side="right")) - 1
        keyframe = int(self._keyframes[index]) if index >= 0 else -1
        return keyframe if keyframe >= self.get_segment(number).start else None

    def find_next_keyframe(self, number: int) -> int | None:
        """Return the first keyframe at or after a packet, in its segment; None if there is none."""
        index = int(np.searchsorted(self._keyframes, number))
        keyframe = int(self._keyframes[index]) if index < len(self._keyframes) else len(self)
        return keyframe if keyframe < self.get_segment(number).stop else None

    def find_packet(self, packet: "Packet[VideoStream]") -> int | None:
        """Return the number of a packet that was read after a seek; None if it is not recognised."""
        has_position = packet.pos is not None and packet.pos >= 0
        values, order = self._by_position if has_position else self._by_dts
        wanted = packet.pos if has_position else packet.dts
        if wanted is None:
            return None
        first, stop = np.searchsorted(values, wanted), np.searchsorted(values, wanted, side="right")
        found = [number for number in order[first:stop].tolist() if self._sizes[number] == packet.size]
        return found[0] if len(found) == 1 else None

    @cached_property
    def _by_position(self) -> tuple[Integers, Integers]:
        return _sort(self._positions)

    @cached_property
    def _by_dts(self) -> tuple[Integers, Integers]:
        return _sort(self._dts)

    def _find_segment(self, number: int) -> int:
        return int(np.searchsorted(self._starts, number, side="right")) - 1


def _sort(values: Integers) -> tuple[Integers, Integers]:
    """Return the sorted values and the numbers of their packets."""
    order: Integers = np.argsort(values, kind="stable")
    return values[order], order
