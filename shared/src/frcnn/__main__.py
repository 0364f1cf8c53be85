"""`python -m frcnn <task>`: the same as `frcnn <task>`."""

import sys

from frcnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
