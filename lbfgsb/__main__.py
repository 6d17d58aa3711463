"""``python -m lbfgsb``: the same as the console script ``lbfgsb``."""

import sys

from lbfgsb._cli import main

if __name__ == "__main__":
    sys.exit(main())
