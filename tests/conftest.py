"""Hypothesis profiles for the whole suite; HYPOTHESIS_PROFILE picks one.

dev      the default at a desk: few examples, a database of past failures
ci       `make test`: the same examples in every run, so a red build is red again
nightly  many random examples
"""

import os

from hypothesis import HealthCheck, settings

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
settings.register_profile("nightly", max_examples=1000, deadline=None, suppress_health_check=slow_is_fine)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
