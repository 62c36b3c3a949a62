"""Plain scalars of YAML, and what kubectl makes of them; tests/apiserver/test_yaml.py asks kubectl itself."""

AS_KUBECTL: tuple[tuple[str, object], ...] = (
    ("y", True), ("Y", True), ("yes", True), ("On", True), ("TRUE", True),
    ("n", False), ("N", False), ("no", False), ("off", False), ("False", False),
    ("yEs", "yEs"), ("tRue", "tRue"), ("yn", "yn"),
    ("~", None), ("null", None), ("NULL", None), ("nULL", "nULL"),
    ("0", 0), ("-7", -7), ("+7", 7), ("1_000", 1000), ("0x1F", 31), ("0b11", 3), ("0o17", 15), ("017", 15), ("08", 8),
    ("9223372036854775807", 9223372036854775807),
    ("1e5", 100000), ("1E-2", 0.01), ("1.", 1), (".5", 0.5), ("1.50", 1.5), ("-1.5e3", -1500),
    ("1e", "1e"), ("1.2.3", "1.2.3"), ("--1", "--1"), (".", "."), ("0x", "0x"), ("1_", 1),
    ("12:30", "12:30"), ("1:30:45", "1:30:45"), ("2026-11-29", "2026-11-29"), ("2026-11-29T10:00:00Z", "2026-11-29T10:00:00Z"),
    ("500m", "500m"), ("1Gi", "1Gi"), ("15%", "15%"), ("=", "="), ("sha256:00", "sha256:00"),
)  # fmt: skip
