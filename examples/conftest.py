"""Makes the examples importable without installing them."""

from __future__ import annotations

import sys
from pathlib import Path

for _sources in sorted(Path(__file__).parent.glob("*/src")):
    sys.path.insert(0, str(_sources))
