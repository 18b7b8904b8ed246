"""The fields of both APIs of python.org, as its own code had them in August 2026 (0a7e8d1f).

They are read from answers of the real site, run on loopback. The stand-in and the adapter are held
against them; where the real site can be reached, so is it.
"""

from __future__ import annotations

SCHEMA: dict[str, frozenset[str]] = {
    "os": frozenset({"name", "slug", "resource_uri"}),
    "release": frozenset(
        {
            *("name", "slug", "version", "is_published", "is_latest", "release_date"),
            *("pre_release", "show_on_download_page", "release_notes_url", "release_page"),
            "resource_uri",
        }
    ),
    "release_file": frozenset(
        {
            *("name", "slug", "os", "release", "description", "is_source", "url"),
            *("gpg_signature_file", "md5_sum", "sha256_sum", "filesize", "download_button"),
            *("sigstore_signature_file", "sigstore_cert_file", "sigstore_bundle_file"),
            *("sbom_spdx2_file", "resource_uri"),
        }
    ),
}
"""The same in v1 and v2. The text of a page is in neither."""
