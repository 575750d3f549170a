"""Everything that outlives a process: SQL tables, their migrations, and the queries behind each port."""
