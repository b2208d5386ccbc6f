"""Services under load: how many clients they bear, how long those wait, and whether long recordings crowd them out."""
