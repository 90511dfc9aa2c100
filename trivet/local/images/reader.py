"""What is written in an image, by RapidOCR: PaddleOCR's networks through onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trivet.local.images.picture import Picture, Sighted
from trivet.local.loaded import needed
from trivet.local.onnx_session import session_options
from trivet.types import Line, Read, ReadResponse

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Reader"]

# The steps of RapidOCR: where text is, whether it stands on its head, what it says. All three files are given by path,
# so that none is looked for elsewhere, and fetched; the letters are in the third.
FILES = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
MOST_SIDE = 2_000  # pixels; RapidOCR's own bound
LEAST_SIDE = 32
# RapidOCR scales the short side up to 736 pixels, whatever becomes of the long one: 2 x 2,000 would be 500 megapixels.
MOST_RATIO = 4


class Fitted(NamedTuple):
    """`rgb` as it is read: `scale` times as large as the image, which begins at `left` and `top` in it."""

    rgb: Array
    scale: float = 1.0
    left: int = 0
    top: int = 0


class Reader(Sighted[Any]):
    """Lines of Chinese, Japanese and Latin letters. A side of more than 2,000 pixels is scaled down to that. Lines of
    which RapidOCR is less than half sure are left out, as it does by itself."""

    tasks = ("read",)

    def load(self) -> Any:
        needed("numpy", self.extra)
        runtime = needed("onnxruntime", self.extra)
        given = {f"{step}.model_path": str(self.path / file) for step, file in FILES.items()}
        # It would write to stderr of an image without text, and in colours.
        made = needed("rapidocr", self.extra).RapidOCR(params={**given, "Global.log_level": "critical"})
        for step, file in FILES.items():
            options = session_options(runtime, self.settings.threads)
            options.enable_cpu_mem_arena = False  # as RapidOCR has it: pictures of many sizes would each leave theirs
            session = runtime.InferenceSession(str(self.path / file), options, providers=["CPUExecutionProvider"])
            made.cfg[step]._set_flag("allow_objects", True)  # OmegaConf's; `session` is RapidOCR's
            made.cfg[step].session = session
        return made

    def see(self, weights: Any, picture: Picture, request: Read) -> ReadResponse:
        fitted = fit(picture.rgb)
        found = weights(fitted.rgb[:, :, ::-1])  # BGR, as OpenCV has it
        width, height = picture.size
        notes = picture.notes
        if fitted.scale < 1:
            notes += (
                f"The image of {width} x {height} pixels was scaled by {fitted.scale:.2f} to be read: small text may "
                "be lost. Cut it into pieces to keep it.",
            )
        # One line or none comes as None, with nothing to put in a row.
        rows = [] if found.txts is None else zip(found.txts, found.boxes, found.scores, strict=True)
        lines = tuple(
            Line(text=text, box=_corners(box, fitted, width, height), score=min(max(float(score), 0.0), 1.0))
            for text, box, score in rows
        )
        return ReadResponse(model=self.name, lines=lines, notes=notes)


def fit(rgb: Array) -> Fitted:
    """The picture in a size and a shape that RapidOCR takes as they are: scaled down, and its borders drawn out."""
    np: Any = needed("numpy", "images")
    height, width, _ = rgb.shape
    scale = min(1.0, MOST_SIDE / max(height, width))
    if scale < 1:
        reader = needed("PIL.Image", "images")
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        rgb = np.asarray(reader.fromarray(rgb).resize((width, height), reader.Resampling.LANCZOS))
    least = max(LEAST_SIDE, -(-max(height, width) // MOST_RATIO))
    more_rows, more_columns = max(0, least - height), max(0, least - width)
    top, left = more_rows // 2, more_columns // 2
    if more_rows or more_columns:
        rgb = np.pad(rgb, ((top, more_rows - top), (left, more_columns - left), (0, 0)), mode="edge")
    return Fitted(rgb, scale, left, top)


def _corners(box: Array, fitted: Fitted, width: int, height: int) -> tuple[tuple[float, float], ...]:
    """Where a box is in the image as it was sent."""
    return tuple(
        (
            min(max((float(x) - fitted.left) / fitted.scale, 0.0), float(width)),
            min(max((float(y) - fitted.top) / fitted.scale, 0.0), float(height)),
        )
        for x, y in box
    )
