"""How a Call is carried to the database, and what surrounds it."""
