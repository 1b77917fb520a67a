"""Hypothesis profiles for the whole suite, picked by HYPOTHESIS_PROFILE:

dev      the default at a desk: few examples, a database of past failures
ci       `make test`: the same examples in every run, so a red build is red again
nightly  many random examples
seek     ci without shrinking: whether a test fails is all that is asked

And a summary that says so when pages could not be tried in a browser.
"""

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from tests.browser import UNTESTED

# A first example pays for imports and generated code; on two busy cores a time limit would be a coin toss.
slow_is_fine = [HealthCheck.too_slow]
settings.register_profile("dev", max_examples=25, deadline=None, suppress_health_check=slow_is_fine)
settings.register_profile(
    "ci",
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=slow_is_fine,
)
settings.register_profile("seek", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate])
settings.register_profile("nightly", max_examples=1000, deadline=None, suppress_health_check=slow_is_fine)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly that pages were not tested: a line among many skipped tests would not be seen."""
    left_out = [r for r in terminalreporter.stats.get("skipped", []) if UNTESTED in str(r.longrepr)]
    if not left_out:
        return
    reason = str(left_out[0].longrepr[2]).partition(f"{UNTESTED}: ")[2]
    write = terminalreporter.write_line
    terminalreporter.write_sep("!", "THE PAGE WAS NOT TESTED", red=True, bold=True)
    write(f"{len(left_out)} tests of what pages do in a browser were left out: {reason}.", red=True)
    write("Install Chromium or Chrome (on Debian: apt-get install chromium) and run again.", red=True)
