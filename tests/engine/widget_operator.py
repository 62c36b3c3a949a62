"""An operator of Widgets alone, as a process: `python3 -m tests.engine.widget_operator`."""

import os
import sys

from flywheel.engine.process import run
from tests.engine.widget import KIND

if __name__ == "__main__":
    sys.exit(run((KIND,), os.environ))
