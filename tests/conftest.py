"""What all tests share: how hard Hypothesis tries, and where their common parts lie."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # `tests` is no package: laws and machine share `strategies`

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
settings.register_profile(
    "ci", deadline=None, derandomize=True, max_examples=25, stateful_step_count=30, suppress_health_check=_SLOW
)
settings.register_profile(
    "thorough", deadline=None, max_examples=500, stateful_step_count=60, suppress_health_check=_SLOW, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
