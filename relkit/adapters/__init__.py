"""The real forms of the ports. Only these modules import GitPython, sigstore, gnupg or requests."""
