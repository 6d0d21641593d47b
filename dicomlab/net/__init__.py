"""The services of DICOM from the side of their user: one module for a service class, over associations of our own."""
