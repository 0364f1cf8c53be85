"""`python -m benchmarks`: our detector beside its peer."""

import sys

from benchmarks.run_speed import main

sys.exit(main())
