"""The patient updater of LEAD Technologies' servers."""
