"""The books on PostgreSQL, and on what speaks its protocol: the same tables, the same answers, and many writers."""
