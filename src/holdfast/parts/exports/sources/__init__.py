"""Where rows come from: what every source does, and each kind of them."""
