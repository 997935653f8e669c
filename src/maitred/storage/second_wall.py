"""The second wall between venues: row-level security, for all that comes in over HTTP (ADR 14).

The first wall is each query's own: it asks for a venue. Behind it stands a role that owns nothing and may not go past
row-level security. A scoped transaction (`Database.scoped`) takes it on and says which venues it is for; a query that
forgets the venue then finds nothing of any other. A table that nobody has named here, and that doesn't say by a column
`restaurant_id` whose a row is, the role may not touch at all.
"""

from __future__ import annotations

import json

from maitred.storage.database import SCOPED_ROLE

NO_ROLE = "MD002"
"""The SQLSTATE that tells that the role is not there and can't be made."""

SETUP = f"""CREATE ROLE {SCOPED_ROLE} NOLOGIN; GRANT {SCOPED_ROLE} TO "<user>";"""
"""What an administrator has to say where the user of the database may not make roles."""

# Whose a row is, where no column `restaurant_id` says so. A row that refers to another one is seen with that one.
_OWNED = {
    "restaurants": "(SELECT maitred_every_venue()) OR id = ANY ((SELECT maitred_venues())::uuid[])",
    "turn_bands": "EXISTS (SELECT FROM services s WHERE s.id = service_id)",
    "booking_history": "EXISTS (SELECT FROM bookings b WHERE b.id = booking_id)",
    "confirmations": "EXISTS (SELECT FROM bookings b WHERE b.id = booking_id)",
    "api_keys": "(SELECT maitred_every_venue())"
    " OR (NOT every_venue AND restaurant_ids <@ (SELECT maitred_venues())::uuid[])",
}
_BY_COLUMN = "(SELECT maitred_every_venue()) OR restaurant_id = ANY ((SELECT maitred_venues())::uuid[])"

# The queue's rows say nothing of venues but a run's id, and beginning and waking runs is part of changing a booking.
_SHARED_TO_WRITE = ("procrastinate_jobs", "procrastinate_events", "procrastinate_periodic_defers")
_SHARED_TO_READ = (
    "procrastinate_workers",
    "maitred_schema_version",
    "event_producers",
    "mail_server",
)

_ROLE = f"""
DO $wall$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SCOPED_ROLE}') THEN
        BEGIN
            CREATE ROLE {SCOPED_ROLE} NOLOGIN;
        EXCEPTION
            -- roles belong to the whole server: somebody sets up another database of it at the same moment
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'role {SCOPED_ROLE} is missing' USING ERRCODE = '{NO_ROLE}';
        END;
    END IF;
    IF NOT pg_has_role(current_user, '{SCOPED_ROLE}',
                       CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
        BEGIN
            EXECUTE format('GRANT {SCOPED_ROLE} TO %I', current_user);
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the user is no member of role {SCOPED_ROLE}' USING ERRCODE = '{NO_ROLE}';
        END;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {SCOPED_ROLE}', current_schema());
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO {SCOPED_ROLE}', current_schema());
END $wall$;

CREATE OR REPLACE FUNCTION maitred_venues() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('maitred.venues', true), '')::uuid[];
CREATE OR REPLACE FUNCTION maitred_every_venue() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('maitred.every_venue', true) = 'on', false);
"""

_TABLES = """
DO $wall$
DECLARE
    owned  jsonb := $owned${owned}$owned$;
    shared record;
    each   record;
BEGIN
    FOR each IN
        SELECT c.relname AS name, coalesce(owned ->> c.relname::text, $rule${by_column}$rule$) AS rule
          FROM pg_class c
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
           AND (owned ? c.relname::text
                OR EXISTS (SELECT FROM pg_attribute a
                            WHERE a.attrelid = c.oid AND a.attname = 'restaurant_id' AND NOT a.attisdropped))
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', each.name);
        EXECUTE format('DROP POLICY IF EXISTS maitred_venues ON %I', each.name);
        EXECUTE format('CREATE POLICY maitred_venues ON %I TO {role} USING (%s) WITH CHECK (%s)',
                       each.name, each.rule, each.rule);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO {role}', each.name);
    END LOOP;
    FOR shared IN
        SELECT c.relname AS name, c.relname = ANY ('{{{to_write}}}') AS written FROM pg_class c
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
           AND c.relname = ANY ('{{{to_write},{to_read}}}')
    LOOP
        EXECUTE format('GRANT %s ON %I TO {role}',
                       CASE WHEN shared.written THEN 'SELECT, INSERT, UPDATE, DELETE' ELSE 'SELECT' END, shared.name);
    END LOOP;
END $wall$;
"""


def statements() -> tuple[str, ...]:
    """What raises the wall on all tables that there are by then. Said again it changes nothing.

    The first fails with NO_ROLE where the role is missing and the user may not make it.
    """
    tables = _TABLES.format(
        owned=json.dumps(_OWNED),
        by_column=_BY_COLUMN,
        role=SCOPED_ROLE,
        to_write=",".join(_SHARED_TO_WRITE),
        to_read=",".join(_SHARED_TO_READ),
    )
    return _ROLE, tables
