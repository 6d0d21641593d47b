"""Instances that were received and are kept here, and what is asked of them and of folders."""
