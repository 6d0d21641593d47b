"""Files of ours on disk: under whose names, one call at a time, all of them or none."""
