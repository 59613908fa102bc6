"""Makes this folder's modules importable, and leaves its tests out where torch is not installed."""

import importlib.util
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

collect_ignore = [] if importlib.util.find_spec("torch") else ["test_planner_agrees.py", "test_counting.py"]
