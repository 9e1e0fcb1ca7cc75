"""Python imports this at its start: the steps for processes that are not forked by the keeper."""

import os
import sys

if os.environ.get("CRASH_ROLE") == "worker" and sys.argv[-1:] != ["worker"]:
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from control import Control
    from doomed import doom

    doom(Control(Path(os.environ["CRASH_CONTROL"])))
