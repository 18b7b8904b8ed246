"""The form for a release's page text, the one thing the APIs of python.org cannot write."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from relkit.adapters.web import Web
from relkit.errors import WorldError
from relkit.rehearsal.site_auth import BadKeyError, v2_user
from relkit.rehearsal.site_http import Call, Reply
from relkit.rehearsal.site_model import Model
from relkit.rehearsal.site_pages import Pages
from relkit.rehearsal.site_store import User

LOGIN = "/admin/login/"
FORM = re.compile(r"/admin/downloads/release/([^/]+)/content/")
COOKIE = "relkit_rehearsal_session"
FOUND = 302


class Admin:
    """Answers below ``/admin/``."""

    def __init__(self, model: Model, pages: Pages) -> None:
        self._model = model
        self._pages = pages

    def answer(self, call: Call) -> Reply | None:
        """Answer a call; None: there is no such page."""
        if call.path == LOGIN:
            return self._login(call)
        found = FORM.fullmatch(call.path)
        if found is None:
            return None
        user = self._user(call)
        if user is None:
            return self._pages.login(403 if call.method == "POST" else 200, call.path)
        if not user.is_staff:
            return self._pages.message(403, "Not allowed", "This form is for staff.")
        return self._content(call, found[1])

    def _content(self, call: Call, slug: str) -> Reply | None:
        row = self._pages.row(slug)
        if row is None:
            return None
        if call.is_read:
            return self._pages.content(row)
        if call.method != "POST":
            return Reply(405)
        text = _form(call).get("content")
        if text is None:
            return self._pages.message(400, "No page text", "The field content is missing.")
        self._model.set_content(row["id"], text.replace("\r\n", "\n"))
        return Reply(302, headers={"Location": f"/downloads/release/{slug}/"})

    def _login(self, call: Call) -> Reply:
        if call.method != "POST":
            return self._pages.login(200, "/downloads/")
        form = _form(call)
        following = form.get("next", "")
        if not FORM.fullmatch(following):
            following = "/downloads/"
        user = self._model.store.user("v2_token", form.get("token", ""))
        if user is None:
            return self._pages.login(403, following)
        session = self._model.store.secret(user.name, "session")
        cookie = f"{COOKIE}={session}; Path=/admin/; HttpOnly; SameSite=Strict"
        return Reply(302, headers={"Location": following, "Set-Cookie": cookie})

    def _user(self, call: Call) -> User | None:
        for part in call.headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE:
                return self._model.store.user("session", value)
        try:
            return v2_user(self._model.store, call)
        except BadKeyError:
            return None


def _form(call: Call) -> dict[str, str]:
    text = call.body.decode("utf-8", "replace")
    fields = parse_qs(text, keep_blank_values=True, max_num_fields=10)
    return {name: values[-1] for name, values in fields.items()}


def enter_page_text(*, url: str, token: str, slug: str, text: str) -> None:
    """Fill in the form as a person would; `url` is the site's."""
    path = f"admin/downloads/release/{slug}/content/"
    headers = {"Authorization": f"Token {token}"}
    with Web(url).request("POST", path, headers=headers, form={"content": text}) as answer:
        status = answer.status_code
    if status != FOUND:
        raise WorldError(
            f"the form for the page text of {slug} answered {status}, not {FOUND}",
            code="SITE_REFUSED",
            remedy="Look whether the release exists on the rehearsal's site.",
        )
