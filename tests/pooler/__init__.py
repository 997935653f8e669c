"""Behind PgBouncer in transaction mode, the real one."""
