"""Builds: source archives in their exact form, comparing them with the tag, building from them.

A build is a process of its own (`relkit.building.builder`) that outlives whoever started it.
"""
