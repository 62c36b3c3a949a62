"""A small table of flights that every command of training can use."""

import random

COLUMNS = "id,when,month,temp,carrier,express,late,delay,grade,group"


def flights(rows: int = 600) -> str:
    """Numbers with gaps, text with gaps and rare values, a Boolean; three targets that depend on them."""
    chance = random.Random(1)
    lines = [COLUMNS]
    for i in range(rows):
        month, temp = chance.randrange(1, 13), chance.uniform(-10, 100)
        carrier, express = chance.choice(["UA", "DL", 'é, "x"', "", f"Z{i % 40}"]), chance.random() < 0.5
        delay = month * 2 + (20 if carrier == "DL" else 0) + temp / 10 + chance.gauss(0, 3) + 5 * express
        gap = "" if chance.random() < 0.1 else f"{temp:.2f}"
        quoted = '"' + carrier.replace('"', '""') + '"'
        grade = "low" if delay < 15 else "mid" if delay < 30 else "high"
        lines.append(
            f"{i},2013-01-{i // 30 + 1:02d},{month},{gap},{quoted},{str(express).lower()},"
            f"{int(delay > 20)},{delay:.3f},{grade},{i % 20}"
        )
    return "\n".join(lines) + "\n"


FEATURES = {"numeric": ["month", "temp", "express"], "categorical": ["carrier"]}
WIDE = {"hidden_layer_sizes": "[64, 64]", "max_iter": 60}
