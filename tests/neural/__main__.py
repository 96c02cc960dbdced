"""Tests of the neural models: `make neural`.

python -m tests.neural [OPTION...]        # pytest's options
"""

import sys

from tests.neural.environment import main

if __name__ == "__main__":
    sys.argv[1:] = ["-m", "pytest", "tests/neural", *sys.argv[1:]]
    main()
