"""Segments of a transcript as subtitles: SubRip (`srt`) and WebVTT (https://www.w3.org/TR/webvtt1/)."""

from __future__ import annotations

from collections.abc import Iterable

from trivet.types import Segment

__all__ = ["srt", "vtt"]


def srt(segments: Iterable[Segment]) -> str:
    """A numbered cue for each segment."""
    cues = [
        f"{n}\n{_time(s.start_s, ',')} --> {_time(s.end_s, ',')}\n{_lines(s.text).replace('-->', '->')}\n\n"
        for n, s in enumerate(segments, 1)
    ]
    return "".join(cues)


def vtt(segments: Iterable[Segment]) -> str:
    """A cue for each segment, in which what WebVTT would take for a tag or an arrow is escaped."""
    cues = [f"{_time(s.start_s, '.')} --> {_time(s.end_s, '.')}\n{_escaped(_lines(s.text))}\n\n" for s in segments]
    return "".join(["WEBVTT\n\n", *cues])


def _lines(text: str) -> str:
    """Without the empty lines, which would end the cue."""
    return "\n".join(line for line in map(str.strip, text.splitlines()) if line)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float, point: str) -> str:
    """`3661.5` -> `01:01:01.500`."""
    whole, ms = divmod(round(max(seconds, 0) * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{ms:03}"
