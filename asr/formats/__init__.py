"""Transcript → text: plain lines, SubRip, WebVTT, lyrics, tables, JSON. Knows no file, no model and no torch."""

from asr.formats.layout import FORMATS, Layout
from asr.formats.rendering import render, to_dict

__all__ = ["FORMATS", "Layout", "render", "to_dict"]
