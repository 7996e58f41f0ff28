"""Settings of every process, each defined once, read from `MAGEDIT_...` variables.

Nothing is read at import: each entry point builds one `Settings()` and passes it down.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.settings.front_end import FrontEndSettings
from jobs.settings.job_life import JobSettings
from jobs.settings.model import ModelSettings
from jobs.settings.shared import SharedSettings


# The last base comes first in the reference.
class Settings(JobSettings, FrontEndSettings, ModelSettings, SharedSettings, BaseSettings):
    """Typed settings; docs/reference/settings.md is generated from the groups' descriptions."""

    model_config = SettingsConfigDict(env_prefix="MAGEDIT_", frozen=True, extra="forbid")


ENV_PREFIX = str(Settings.model_config["env_prefix"])

OTHER_VARIABLES = frozenset({"MAGEDIT_API_KEY"})
"""Variables with this prefix that are not settings: the command line's API key."""


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """A sentence for each variable with the settings' prefix that is not a setting."""
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    unknown = sorted(name for name in environment if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)
    return [f"the variable {name} is not a setting and has no effect{_meant(name, known)}" for name in unknown]


def _meant(name: str, known: frozenset[str] | set[str]) -> str:
    nearest = get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.75)
    return f": did you mean {nearest[0]}?" if nearest else ""


def explain(error: ValidationError) -> str:
    """One text that names each invalid setting by its variable."""
    return "; ".join(
        f"{ENV_PREFIX}{'_'.join(str(part) for part in each['loc']).upper()}: {each['msg']}" for each in error.errors()
    )
