"""Where rows come from and where predictions go."""
