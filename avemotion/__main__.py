"""``python -m avemotion``."""

import sys

from avemotion.cli import main

sys.exit(main())
