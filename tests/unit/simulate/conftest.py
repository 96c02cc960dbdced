"""Property tests judge results, not how busy the machine is."""

from hypothesis import settings

settings.register_profile("perennial", deadline=None)
settings.load_profile("perennial")
