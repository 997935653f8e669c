"""Moving seated bookings to other tables, as functions of the database (migration 0009)."""

# All that stands on tables of a venue in [since, until), seats and holds, one row a booking or hold. Whoever reads it
# plans on one moment's rows; `move_tables` looks whether they still are.
LOOK = """
CREATE FUNCTION look_at_tables(venue uuid, since timestamptz, until timestamptz)
    RETURNS TABLE (booking_id uuid, hold_id uuid, party_size integer, booked_for timestamptz, status text,
                   locked boolean, revision integer, table_ids bigint[], starts bigint, ends bigint,
                   preferences jsonb, vip boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    IF NOT sees(venue) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT b.id, a.hold_id, b.party_size, b.starts_at, b.status, b.locked, b.revision,
           array_agg(a.table_id ORDER BY a.table_id), micros(lower(a.period)), micros(upper(a.period)),
           b.preferences, b.vip
      FROM allocations a
      JOIN bookings b ON b.id = a.booking_id
      LEFT JOIN holds h ON h.id = a.hold_id
     WHERE a.restaurant_id = venue
       AND lower(a.period) >= since - interval '24 hours'
       AND lower(a.period) < until
       AND upper(a.period) > since
       AND (a.hold_id IS NULL OR h.expires_at > clock_timestamp())
     GROUP BY b.id, a.hold_id, a.period
     ORDER BY lower(a.period), b.id;
END $$;
"""

# Locks in everybody's order: the venue's day, bookings by their ids, holds, allocations, the venue's release mark. All
# seats that are given up go before the first new one is taken, so that a chain or a ring of moves never overlaps
# itself. `moves` has [booking, revision, from, to, start, end] for each. Whatever is not as it was planned undoes all.
MOVE = """
CREATE FUNCTION move_tables(venue uuid, day integer, wait_ms integer, moves jsonb, why text, newcomer uuid)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    wanted record;
    found_booking record;
    has    bigint[];
BEGIN
    PERFORM must_hold(sees(venue), 'no such venue');
    PERFORM lock_day(venue, day, wait_ms);
    PERFORM FROM bookings b
      WHERE b.restaurant_id = venue
        AND (b.id = newcomer OR b.id IN (SELECT (m->>0)::uuid FROM jsonb_array_elements(moves) m))
      ORDER BY b.id FOR NO KEY UPDATE;
    FOR wanted IN
        SELECT (m->>0)::uuid AS id, (m->>1)::integer AS revision,
               ARRAY(SELECT t::bigint FROM jsonb_array_elements_text(m->2) t ORDER BY t::bigint) AS from_tables,
               tstzrange((m->>4)::timestamptz, (m->>5)::timestamptz) AS period
          FROM jsonb_array_elements(moves) m
    LOOP
        SELECT b.status, b.locked, b.revision INTO found_booking
          FROM bookings b WHERE b.id = wanted.id AND b.restaurant_id = venue;
        PERFORM must_hold(FOUND AND found_booking.status = 'confirmed' AND NOT found_booking.locked
                          AND found_booking.revision = wanted.revision, 'a booking to be moved has changed');
        SELECT array_agg(a.table_id ORDER BY a.table_id)
          INTO has
          FROM allocations a WHERE a.booking_id = wanted.id AND a.hold_id IS NULL AND a.period = wanted.period;
        PERFORM must_hold(has = wanted.from_tables
                          AND (SELECT count(*) FROM allocations a WHERE a.booking_id = wanted.id)
                              = cardinality(wanted.from_tables), 'a booking to be moved has other tables');
    END LOOP;
    DELETE FROM holds h
     WHERE h.expires_at <= clock_timestamp()
       AND EXISTS (SELECT FROM jsonb_array_elements(moves) m CROSS JOIN jsonb_array_elements_text(m->3) t
                     JOIN allocations a ON a.table_id = t::bigint
                                       AND a.period && tstzrange((m->>4)::timestamptz, (m->>5)::timestamptz)
                    WHERE a.hold_id = h.id);
    DELETE FROM allocations a
     WHERE a.booking_id IN (SELECT (m->>0)::uuid FROM jsonb_array_elements(moves) m);
    INSERT INTO allocations (restaurant_id, table_id, booking_id, period)
    SELECT venue, t::bigint, (m->>0)::uuid, tstzrange((m->>4)::timestamptz, (m->>5)::timestamptz)
      FROM jsonb_array_elements(moves) m CROSS JOIN jsonb_array_elements_text(m->3) t
     ORDER BY t::bigint, m->>0;
    INSERT INTO booking_history (booking_id, from_status, to_status, cause, table_ids)
    SELECT (m->>0)::uuid, 'confirmed', 'confirmed', why,
           ARRAY(SELECT t::bigint FROM jsonb_array_elements_text(m->3) t ORDER BY t::bigint)
      FROM jsonb_array_elements(moves) m;
END $$;
"""

ALL = (LOOK, MOVE)
