"""What is shown in a notebook; matplotlib and ipywidgets live here and nowhere else."""
