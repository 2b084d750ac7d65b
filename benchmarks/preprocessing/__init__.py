"""How phones and browsers resample a photo, imitated."""
