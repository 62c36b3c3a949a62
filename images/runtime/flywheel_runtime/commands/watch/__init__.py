"""The container beside main, of main's user and without credentials: it stops main at its timeout, measures it and opens its files."""
