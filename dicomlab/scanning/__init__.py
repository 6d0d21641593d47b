"""What lies in folders, DICOMDIRs and zip archives, as a table of instances."""
