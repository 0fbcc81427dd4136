"""Media: from files, cameras and arrays to pictures and sound."""

from ter_fast.media import decode as decode  # it gives `Clip.from_file` its reader
