"""Settings, read from MAITRED_* environment variables when a `Settings` is made, never at import."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_ADDRESS = r"[^\s<>,;:@\"()\[\]\\]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
_SENDER = re.compile(rf"(?:[^<>@,;:\"()\[\]\\]*<{_ADDRESS}>|{_ADDRESS})")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?")

Seconds: TypeAlias = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


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
    prices_every_s: float = Field(
        default=5.0,
        ge=0.5,
        le=3600,
        description="Pause between two looks whether prices are out of date.",
    )

    max_retries: int = Field(default=3, ge=0, le=10, description="Attempts after the first one.")
    retry_delays_s: Annotated[tuple[Seconds, ...], NoDecode] = Field(
        default=(5.0, 15.0, 45.0),
        min_length=1,
        max_length=10,
        description="Pauses in seconds, as 5,15,45, each from an attempt's start; the last repeats.",
    )
    retry_policy: Literal[1, 2] = Field(default=2, description="1: plain retries; 2: hard failures end them.")
    start_cutoff_min: int = Field(default=10, ge=0, le=1440, description="No further attempt this close to the start.")

    inline_timeout_ms: int = Field(default=4_000, ge=100, le=60_000, description="Longest inline attempt.")

    worker_database_url: SecretStr | None = Field(
        default=None, description="A direct address for workers, where DATABASE_URL goes through a pooler."
    )
    worker_polls_only: bool = Field(default=False, description="Workers don't listen for new jobs: for poolers.")
    worker_poll_s: float = Field(default=1.0, ge=0.05, le=60, description="Pause between two looks for due jobs.")
    worker_heartbeat_s: float = Field(
        default=3.0, ge=0.5, le=60, description="Pause between two signs of life; four missed ones are a death."
    )
    reconcile_every_s: float = Field(default=5.0, ge=0.1, le=600, description="Pause between two reconciliations.")

    event_days: int = Field(default=90, ge=0, le=36_500, description="Days that raw events are kept; 0: for ever.")
    event_queue_size: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Measurements kept while the writer is away."
    )
    spill_dir: Path | None = Field(
        default=None, description="Where a process that ends leaves what it could not write, for the next start."
    )

    metrics_address: str | None = Field(
        default=None,
        pattern=r"^(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$",
        max_length=260,
        description="Where a worker answers /metrics and /healthz, as 127.0.0.1:9464; empty: nowhere.",
    )

    otel_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#@]+(?:/[^\s?#]*)?$",
        max_length=500,
        description="A collector for OTLP over HTTP, as http://127.0.0.1:4318; needs the extra otel; empty: off.",
    )

    http_max_body: int = Field(default=262_144, ge=1_024, le=67_108_864, description="Most bytes of a request's body.")
    http_max_import: int = Field(
        default=8_388_608, ge=1_024, le=268_435_456, description="The same where a file is imported."
    )
    http_header_timeout_s: float = Field(default=10.0, gt=0, le=300, description="Longest wait for a request's head.")
    http_body_timeout_s: float = Field(default=15.0, gt=0, le=300, description="Longest wait for a request's body.")
    http_timeout_s: float = Field(default=30.0, gt=0, le=300, description="Longest work for one answer to a write.")
    http_rate_per_s: float = Field(
        default=200.0, ge=0, le=100_000, allow_inf_nan=False, description="Requests a second of one key; 0: no limit."
    )
    http_rate_burst: int = Field(default=400, ge=1, le=1_000_000, description="Requests of one key at once.")
    hold_rate_per_min: float = Field(
        default=20.0, ge=0, le=10_000, allow_inf_nan=False, description="Holds a minute of one booking; 0: no limit."
    )
    hold_rate_burst: int = Field(default=10, ge=1, le=10_000, description="Holds of one booking at once.")
    idempotency_hours: float = Field(
        default=24.0, gt=0, le=8_760, allow_inf_nan=False, description="Hours that the answer to a write is kept."
    )
    idempotency_wait_s: float = Field(
        default=5.0, ge=0, le=60, description="Longest wait of a repeated request for the first one to end."
    )
    http_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=50,
        description="Origins whose pages may call, as https://a.example.org,https://b.example.org.",
    )
    http_metrics: bool = Field(
        default=False, description="Answer /metrics on the HTTP interface too, without a key: for inner networks."
    )

    smtp_host: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9._:-]+$", max_length=253, description="The mail server; empty: mails wait."
    )
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port: 587 with starttls, 465 with tls.")
    smtp_tls: Literal["none", "starttls", "tls"] = Field(
        default="starttls", description="How the way to the mail server is encrypted; never silently less than this."
    )
    smtp_username: str | None = Field(default=None, max_length=320, description="Empty: no login.")
    smtp_password: SecretStr | None = Field(default=None, description="Goes with the username.")
    mail_from: str | None = Field(
        default=None,
        max_length=320,
        validate_default=True,
        description="Sender of all mails, as tables@example.org or Tables <tables@example.org>; needed with a server.",
    )
    mail_shows_tables: bool = Field(default=False, description="Whether guests are told the numbers of their tables.")
    smtp_timeout_s: float = Field(default=20.0, gt=0, le=300, description="Longest wait for one answer of the server.")
    mail_timeout_s: float = Field(default=45.0, gt=0, le=600, description="Longest delivery of one mail in all.")
    mail_pause_s: float = Field(default=15.0, gt=0, le=3600, description="Pause after the mail server was away.")

    webhook_allow_private: bool = Field(
        default=False, description="Webhooks may go to private addresses and without TLS. For tests and inner networks."
    )
    webhook_timeout_s: float = Field(default=5.0, gt=0, le=60, description="Longest wait for one step of a webhook.")
    webhook_total_s: float = Field(default=10.0, gt=0, le=120, description="Longest delivery of one webhook in all.")
    webhook_concurrency: int = Field(default=16, ge=1, le=200, description="Endpoints written to at the same time.")

    messages_suppressed: bool = Field(default=False, description="Tell nobody anything, for example in load tests.")
    messages_poll_s: float = Field(default=1.0, ge=0.05, le=60, description="Pause between two looks for messages.")
    message_max_attempts: int = Field(default=10, ge=1, le=50, description="Attempts before a message is dead.")
    message_retry_first_s: float = Field(default=15.0, gt=0, le=3600, description="Pause after the first attempt.")
    message_retry_longest_s: float = Field(
        default=7200.0, gt=0, le=86_400, description="Longest pause: each is three times the one before, up to this."
    )

    @field_validator("retry_policy", mode="before")
    @classmethod
    def _as_number(cls, given: object) -> object:
        return int(given) if isinstance(given, str) and given.isdecimal() else given

    @field_validator("retry_delays_s", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        return [part.strip() for part in given.split(",")] if isinstance(given, str) else given

    @field_validator("http_origins", mode="before")
    @classmethod
    def _split_origins(cls, given: object) -> object:
        return [part.strip() for part in given.split(",")] if isinstance(given, str) else given

    @field_validator("http_origins")
    @classmethod
    def _are_origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ORIGIN.fullmatch(each) for each in given):
            raise ValueError("must be origins, as https://book.example.org, without a path and without *")
        return given

    @field_validator("metrics_address")
    @classmethod
    def _is_a_port(cls, given: str | None) -> str | None:
        if given is not None and int(given.rpartition(":")[2]) > 65_535:
            raise ValueError("must end in a port, 0 to 65535")
        return given

    @field_validator("mail_from")
    @classmethod
    def _is_a_sender(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is None:
            if info.data.get("smtp_host") is not None:
                raise ValueError("must be set when MAITRED_SMTP_HOST is")
            return None
        if not (given.isascii() and given.isprintable() and _SENDER.fullmatch(given)):
            raise ValueError("must be one address, as tables@example.org or Tables <tables@example.org>")
        return given
