"""The operations, by what they are about. A method builds a Call and does no I/O."""
