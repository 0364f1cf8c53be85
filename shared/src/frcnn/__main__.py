"""`python -m frcnn <task>` does what `frcnn <task>` does."""

import sys

from frcnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
