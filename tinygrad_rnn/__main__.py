"""`python -m tinygrad_rnn`: the command line."""

import sys

from tinygrad_rnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
