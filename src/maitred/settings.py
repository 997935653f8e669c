"""Settings, read from MAITRED_* environment variables when a `Settings` is made, never at import."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """All knobs with their bounds. A field `x` is set by `MAITRED_X`. Raises pydantic's ValidationError."""

    model_config = SettingsConfigDict(env_prefix="MAITRED_", extra="ignore", env_ignore_empty=True)

    database_url: SecretStr | None = Field(
        default=None, description="A PostgreSQL 15 or newer; empty: the embedded server."
    )
    database_pooler: bool = Field(
        default=False,
        description="The URL goes through a pooler in transaction mode: keep no state in the session.",
    )
    data_dir: Path | None = Field(default=None, description="Where the embedded server keeps its data.")
    pool_size: int = Field(default=10, ge=1, le=200, description="Most connections of one process.")
    pool_timeout_s: float = Field(default=10.0, gt=0, le=300, description="Longest wait for a free connection.")
    statement_timeout_ms: int = Field(default=10_000, ge=100, le=600_000, description="Longest run of one statement.")
    lock_timeout_ms: int = Field(default=3_000, ge=10, le=60_000, description="Longest wait for a lock.")

    hold_ttl_inline_s: int = Field(default=120, ge=1, le=3600, description="Life of a hold made while the guest waits.")
    hold_ttl_job_s: int = Field(default=180, ge=1, le=3600, description="Life of a hold made by a job.")
    hold_ttl_manual_s: int = Field(default=180, ge=1, le=3600, description="Life of a hold made by a person.")
    quote_replans: int = Field(default=4, ge=0, le=20, description="How often one quote plans again after a lost race.")
    sweep_every_s: float = Field(default=30.0, ge=1, le=3600, description="Pause between two sweeps of expired holds.")

    max_retries: int = Field(default=3, ge=0, le=10, description="Attempts after the first one.")
    retry_delays_s: tuple[float, ...] = Field(
        default=(5.0, 15.0, 45.0),
        min_length=1,
        max_length=10,
        description="Pauses from attempt start; the last repeats.",
    )
    start_cutoff_min: int = Field(default=10, ge=0, le=1440, description="No further attempt this close to the start.")

    event_queue_size: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Measurements kept while the writer is away."
    )
