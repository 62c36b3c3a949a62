"""The protocol over REST: bodies (`codec`), paths (`routes`), and a page for people (`page`)."""
