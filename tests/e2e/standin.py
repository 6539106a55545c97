"""Where the stand-in for py-cachify is, and what can run it."""

import os
import subprocess
from pathlib import Path

STANDIN = Path(__file__).resolve().parents[1] / "standin"
PYTHON = "/usr/bin/python3"  # the one that the distribution's python3-redis is for


def no_redis_for_python():
    """Why it cannot be run; None when it can."""
    if not os.access(PYTHON, os.X_OK):
        return f"{PYTHON} is not there"
    done = subprocess.run([PYTHON, "-c", "import redis"], capture_output=True, check=False)
    return "python3-redis is not installed" if done.returncode else None
