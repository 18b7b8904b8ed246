"""A plain client of the python.org stand-in, for tests."""

from __future__ import annotations

from typing import Any, Literal

import requests

from relkit.rehearsal.site import Site

Version = Literal["v1", "v2"]
URL = "https://www.python.org/ftp/python/3.15.0/Python-3.15.0a1.tgz"
DRAFT = {
    "name": "Python 3.15.0a1",
    "slug": "python-3150a1",
    "version": 3,
    "pre_release": True,
    "show_on_download_page": False,
    "release_date": "2026-05-05T12:00:00Z",
}


class Client:
    """Plain requests to a site, with or without the staff user's keys."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.keys = {"v1": f"ApiKey {site.v1_key}", "v2": f"Token {site.v2_token}"}

    def ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        key: str | None = "staff",
        **kwargs: Any,  # noqa: ANN401 (passed on)
    ) -> requests.Response:
        headers = dict(kwargs.pop("headers", {}))
        version = path.partition("/")[0]
        if key is not None:
            headers["Authorization"] = self.keys.get(version, "") if key == "staff" else key
        base = self.site.url + ("api/" if version in {"v1", "v2"} else "")
        path = path.replace("v1/", "v1/downloads/").replace("v2/", "v2/downloads/")
        return requests.request(
            method,
            base + path,
            json=json,
            headers=headers,
            allow_redirects=False,
            timeout=20,
            **kwargs,
        )

    def add(self, path: str, **fields: object) -> int:
        answer = self.ask("POST", path, json=fields)
        assert answer.status_code == 201, answer.text
        return int(answer.headers["Location"].rstrip("/").rpartition("/")[2])

    def file(self, version: Version = "v1", release: int = 1, **fields: object) -> dict[str, Any]:
        """Return the fields of a good file row."""
        base = f"/api/{version}/downloads"
        return {
            "name": "Gzipped source tarball",
            "slug": "python-3150a1-tgz",
            "os": f"{base}/os/3/",
            "release": f"{base}/release/{release}/",
            "url": URL,
            "sha256_sum": "ab" * 32,
            "filesize": 27_000_000,
        } | fields
