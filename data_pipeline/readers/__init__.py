"""Whatever lies on disk → items: a recording, its captions, its licence, or why it cannot be used."""

from data_pipeline.readers.captions import Captions, parse_captions, untimed
from data_pipeline.readers.folder import list_folder
from data_pipeline.readers.rows import list_audiofolder, list_nemo
from data_pipeline.readers.tars import list_tars

__all__ = ["Captions", "list_audiofolder", "list_folder", "list_nemo", "list_tars", "parse_captions", "untimed"]
