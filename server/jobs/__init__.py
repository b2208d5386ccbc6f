"""Long recordings as jobs: accepted, kept, worked on, told about. Survives the end of any process at any moment."""
