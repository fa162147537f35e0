"""The fault gallery: small programs, faults planted in them, and odd programs that are healthy."""
