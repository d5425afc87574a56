"""How many random examples a property test runs: the number it names, times what the profile says.

`HYPOTHESIS_PROFILE` is one of these; without it, quick. Run `HYPOTHESIS_PROFILE=long` over night.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROFILES = {"quick": 20, "ci": 100, "long": 2000}  # examples, where a test names 100
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")

for _name, _percent in PROFILES.items():
    settings.register_profile(_name, max_examples=_percent, deadline=None, print_blob=True,
                              suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large,
                                                     HealthCheck.filter_too_much))
settings.load_profile(PROFILE)


def examples(count: int, function_fixtures: bool = False) -> settings:
    """Settings of a test that runs `count` examples in CI; `function_fixtures`: they share its fixtures."""
    checks = list(settings.default.suppress_health_check)
    if function_fixtures:
        checks.append(HealthCheck.function_scoped_fixture)
    return settings(max_examples=max(1, count * PROFILES[PROFILE] // 100), suppress_health_check=checks)
