"""Database servers: one module reads the rows of one server's software, in one read-only transaction, as batches of Arrow.

session      what every server needs before the first statement: login, allowed host, checked address; and the bounds of a snapshot
changes      which rows the last snapshot has already
failures     the sentences about what a server answers instead of rows
postgresql   PostgreSQL, by its ADBC driver
mariadb      MariaDB, by PyMySQL
"""
