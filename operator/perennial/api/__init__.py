"""The three kinds as pydantic models: the single source of the CRDs."""

GROUP = "perennial.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
