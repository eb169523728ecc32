"""What holds for every test.

A property test tries the same inputs each time, so that a commit is green or red and not both.
New ones are looked for with ``scripts/test.sh --hypothesis-profile=explore``.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No test is timed: a busy machine is no fault of what is tested.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True, database=None)
settings.load_profile("same")
