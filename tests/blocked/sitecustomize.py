"""Read by every Python process that a test starts: it reaches no other machine either."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import no_network

sys.path.pop(0)
no_network.block()
