"""The entry point of `python -m generator`."""

import sys

from generator.files import main

sys.exit(main())
