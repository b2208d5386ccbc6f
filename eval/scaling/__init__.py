"""Error rates of many models against their sizes and hours of training audio, and the laws through them."""
