"""A picture's shapes as SVG, and as PNG by Pillow."""

from __future__ import annotations

import io
from html import escape
from typing import TYPE_CHECKING, Any

from trivet.cli.forecast_plot import Area, Line, Picture, Point, Text

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

__all__ = ["png", "svg"]

FINE = 2  # pixels of a PNG for each of the picture's
SMOOTH = 2  # as many again in each direction while it is drawn, so that edges come out smooth
DASH = (5.0, 4.0)


def svg(picture: Picture) -> str:
    body = "\n".join(map(_element, picture.shapes))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.width} {picture.height}" '
        f'width="{picture.width}" height="{picture.height}" font-family="system-ui, Helvetica, Arial, sans-serif">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _element(shape: Line | Area | Text) -> str:
    if isinstance(shape, Text):
        weight = ' font-weight="600"' if shape.bold else ""
        return (
            f'<text x="{shape.at[0]:.1f}" y="{shape.at[1]:.1f}" fill="{shape.colour}" font-size="{shape.size}" '
            f'text-anchor="{shape.anchor}"{weight}>{escape(shape.text)}</text>'
        )
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
    if isinstance(shape, Area):
        return f'<polygon points="{points}" fill="{shape.colour}" fill-opacity="{shape.opacity:.2f}"/>'
    dashes = f' stroke-dasharray="{DASH[0]:g} {DASH[1]:g}"' if shape.dashed else ""
    return (
        f'<polyline points="{points}" fill="none" stroke="{shape.colour}" stroke-width="{shape.width:g}" '
        f'stroke-linejoin="round" stroke-linecap="round"{dashes}/>'
    )


# --- PNG ------------------------------------------------------------------------------------------------------


def png(picture: Picture) -> bytes:
    """Raises `ConfigError` where Pillow is not installed."""
    from trivet.local.loaded import needed

    Image, drawing = needed("PIL.Image", "images"), needed("PIL.ImageDraw", "images")
    scale = FINE * SMOOTH
    image = Image.new("RGB", (picture.width * scale, picture.height * scale), "white")
    for shape in picture.shapes:
        if isinstance(shape, Area):
            layer = Image.new("L", image.size, 0)
            drawing.Draw(layer).polygon([_at(p, scale) for p in shape.points], fill=round(255 * shape.opacity))
            image.paste(Image.new("RGB", image.size, shape.colour), mask=layer)
        elif isinstance(shape, Line):
            _line(drawing.Draw(image), shape, scale)
        else:
            _text(drawing.Draw(image), shape, scale)
    small = image.resize((picture.width * FINE, picture.height * FINE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True)
    return out.getvalue()


def _at(point: Point, scale: int) -> Point:
    return (point[0] * scale, point[1] * scale)


def _line(draw: ImageDraw, line: Line, scale: int) -> None:
    width = max(1, round(line.width * scale))
    points = [_at(point, scale) for point in line.points]
    if line.dashed:
        for begin, end in _dashes(points[0], points[-1], scale):
            draw.line([begin, end], fill=line.colour, width=width)
        return
    draw.line(points, fill=line.colour, width=width, joint="curve")
    for x, y in points if len(points) == 1 else ():
        draw.ellipse([x - width, y - width, x + width, y + width], fill=line.colour)


def _dashes(begin: Point, end: Point, scale: int) -> list[tuple[Point, Point]]:
    """Pieces of a straight line."""
    length = ((end[0] - begin[0]) ** 2 + (end[1] - begin[1]) ** 2) ** 0.5
    on, off = (size * scale for size in DASH)
    pieces = []
    at = 0.0
    while at < length:
        parts = (at / length, min(at + on, length) / length)
        pieces.append(tuple((begin[0] + (end[0] - begin[0]) * p, begin[1] + (end[1] - begin[1]) * p) for p in parts))
        at += on + off
    return pieces  # type: ignore[return-value]


def _text(draw: ImageDraw, text: Text, scale: int) -> None:
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[text.anchor]
    font: Any = _font(text.size * scale)
    thick = round(0.02 * text.size * scale) if text.bold else 0
    draw.text(
        _at(text.at, scale), text.text, text.colour, font, anchor=anchor, stroke_width=thick, stroke_fill=text.colour
    )


def _font(size: int) -> Any:
    """DejaVu Sans where the system has it, which knows more alphabets than Pillow's own."""
    from PIL import ImageFont

    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)
