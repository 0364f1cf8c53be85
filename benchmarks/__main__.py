"""Runs `benchmarks.run_speed`: this project's detector compared with torchvision's."""

import sys

from benchmarks.run_speed import main

sys.exit(main())
