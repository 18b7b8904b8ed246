"""The local world: real tools on local, throw-away data, and stand-ins for the rest."""
