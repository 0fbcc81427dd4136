"""Media: from files, cameras and arrays to pictures and sound."""
