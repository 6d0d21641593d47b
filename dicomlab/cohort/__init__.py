"""From one series to thousands: a function over a cohort, here or on a Dask cluster (DESIGN 9)."""
