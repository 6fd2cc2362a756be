"""Which backend next: the configured backends, their order, and dialling them."""
