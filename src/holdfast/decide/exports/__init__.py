"""The rules of exports: columns, formats, what the client accepts, what is a formula, how an end is marked."""
