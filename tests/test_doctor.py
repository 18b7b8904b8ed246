"""The doctor: every row is asked, none holds up or hides another, and what is not known is said."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rehearsals
from toy import POLICY, identity, person

import relkit.opening
from relkit import cli_doctor, doctor
from relkit.cli_doctor import as_json, in_a_line, summary, to_see_to
from relkit.doctor import HELD, Finding, examine
from relkit.doctor_rows import questions, two_persons
from relkit.doctor_table import BY_NAME, ROWS, Row
from relkit.errors import CheckError, WorldError
from relkit.plan import Check
from relkit.policy import Policy
from relkit.probe import Seen
from relkit.release import Release
from relkit.values import Fetched, Identity

ROOT = Path(__file__).parents[1]
RELEASE = Release.parse("3.15.0a2", "alpha", "2026-11-24")
FINAL = Release.parse("3.15.0", "final", "2026-11-24")
Answer = Callable[[], Any]


def world(*secrets: str) -> Any:  # noqa: ANN401 (as much of a world as is asked)
    return SimpleNamespace(secrets=lambda: secrets, rehearsal=True, name="toy")


def row(name: str, **more: Any) -> Row:  # noqa: ANN401 (passed on)
    return Row(name, "much", "little", **more)


def asked(
    monkeypatch: pytest.MonkeyPatch, *secrets: str, rows: tuple[Row, ...] = (), **answers: Answer
) -> list[Finding]:
    monkeypatch.setattr(doctor, "questions", lambda *_: answers)
    return list(examine(RELEASE, world(*secrets), rows=rows or tuple(map(row, answers))))


def fail(error: Exception) -> Answer:
    def failing() -> Seen:
        raise error

    return failing


# --- every row ------------------------------------------------------------------------------------


def test_each_row_is_asked_whatever_becomes_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(
        monkeypatch,
        denied=fail(WorldError("it said no", code="DENIED", remedy="Ask for the right.")),
        broken=fail(ZeroDivisionError("ours")),
        well=lambda: Seen("all of it"),
    )
    assert [(one.row, one.outcome, one.code) for one in found] == [
        ("denied", "ill", "DENIED"),
        ("broken", "unknown", "FAULT"),
        ("well", "well", ""),
    ]
    assert found[0].remedy == "Ask for the right."


def test_a_row_that_takes_too_long_is_left_behind_and_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = threading.Event()

    def hang() -> Seen:
        held.wait(60)
        return Seen("late")

    rows = (row("slow", seconds=0.05, unknown="Look yourself."), row("next"))
    found = asked(monkeypatch, rows=rows, slow=hang, next=lambda: Seen("here"))
    held.set()
    assert (found[0].outcome, found[0].code, found[0].remedy) == (
        *("unknown", "NO_ANSWER"),
        "Look yourself.",
    )
    assert found[1].well


def test_a_person_is_asked_where_an_interruption_ends_the_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted() -> Seen:
        assert threading.current_thread() is threading.main_thread()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked(monkeypatch, rows=(row("secrets", seconds=None),), secrets=interrupted)


def test_what_is_ill_is_so_even_if_nobody_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = asked(monkeypatch, a=fail(WorldError("it said no", code="DENIED", remedy="")))
    assert (found.outcome, found.well) == ("ill", False)


def test_an_answer_that_no_row_can_read_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    naive = Seen("mine", until=RELEASE.time.replace(tzinfo=None))
    (found,) = asked(monkeypatch, a=lambda: naive)
    assert (found.outcome, found.code) == ("unknown", "FAULT")


@pytest.mark.parametrize(("status", "size"), [(503, 9), (404, 9), (302, 0), (200, 0)])
def test_a_public_site_without_its_page_is_not_well(status: int, size: int) -> None:
    got = Fetched(status=status, size=size, sha256="0" * 64, content_type="text/html")
    public = SimpleNamespace(fetch=lambda **_: got)
    every: Any = SimpleNamespace(probes=dict, policy=POLICY, website=None, public=public)
    with pytest.raises(CheckError, match="PAGE_MISSING"):
        questions(RELEASE, every)["public site"]()


def test_each_row_is_said_before_it_is_asked_and_what_the_world_has_not_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    def answer(name: str) -> Seen:
        order.append(f"asked {name}")
        return Seen("x")

    answers = {name: partial(answer, name) for name in "ac"}
    monkeypatch.setattr(doctor, "questions", lambda *_: answers)
    rows = tuple(map(row, "abc"))
    found = list(examine(RELEASE, world(), begin=order.append, rows=rows))
    assert order == ["a", "asked a", "c", "asked c"]
    assert [one.outcome for one in found] == ["well", "absent", "well"]
    assert found[1].well


def test_what_is_not_known_has_its_own_remedy_and_not_that_of_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unclear = Check("the clock is right", None, "no time", code="CLOCK", remedy="Set the clock.")
    wrong = Check(
        "the clock is right", ok=False, found="late", code="CLOCK", remedy="Set the clock."
    )
    found = asked(
        monkeypatch,
        rows=(BY_NAME["clock"], row("a"), row("b")),
        clock=lambda: [unclear, wrong],
        a=lambda: Seen("half of it", unsure="Look in the browser."),
        b=lambda: [Check("a warning", None, "perhaps", warns=True)],
    )
    assert [(one.outcome, one.remedy) for one in found] == [
        ("unknown", BY_NAME["clock"].unknown),
        ("ill", "Set the clock."),
        ("unknown", "Look in the browser."),
        ("well", ""),
    ]


@pytest.mark.parametrize(
    ("days", "code"), [(-1, "EXPIRES"), (0, "EXPIRES"), (HELD.days + 1, ""), (400, "")]
)
def test_what_signs_in_must_be_good_until_after_the_release(
    monkeypatch: pytest.MonkeyPatch, days: int, code: str
) -> None:
    until = RELEASE.time + timedelta(days=days)
    (found,) = asked(monkeypatch, token=lambda: Seen("mine", until=until))
    assert found.code == code
    assert f"{until:%Y-%m-%d}" in found.found


def test_nothing_secret_is_shown_and_nothing_that_moves_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = "hunter2-hunter2"  # noqa: S105 (nobody's)
    monkeypatch.setenv("SOME_TOKEN", "of-the-environment")
    said = f"\x1b[31mkey {secret} and of-the-environment"
    found = asked(
        monkeypatch,
        secret,
        a=lambda: Seen(said, unsure=said),
        b=fail(WorldError(said, code="X", remedy=said)),
        c=fail(ValueError(said)),
    )
    shown = as_json("3.15.0a2", "toy", [Finding("tools", *_rest(one)) for one in found])
    assert not re.search(r"hunter2|of-the-environment|\\u001b|\x1b", shown)
    assert shown.count(doctor.HIDDEN) >= 6


def _rest(one: Finding) -> tuple[Any, ...]:
    return one.what, one.outcome, one.code, one.found, one.remedy


# --- persons --------------------------------------------------------------------------------------


def policy(**changes: object) -> Policy:
    people = (
        person("Rika", "release-manager"),
        person("Sam", "second-manager"),
        person("Elif", "expert"),
    )
    gates = dict.fromkeys(GATES, ("release-manager",)) | {
        "publish": ("release-manager", "second-manager")
    }
    given = {**POLICY.to_data(), "people": people, "gates": gates, **changes}
    return Policy.model_validate(given)


GATES = ("release-commit", "windows", "macos", "docs", "push")


def test_two_persons_are_found_where_two_are_asked_for() -> None:
    found = two_persons(FINAL, policy())
    assert found.found == "different ones: publish by 2"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (
            {"people": (person("Rika", "release-manager"), person("Rika", "second-manager"))},
            "TOO_FEW_PERSONS",
        ),
        ({"waivers_needed": {"final": 2}}, "TOO_FEW_PERSONS"),
        (
            {
                "people": (
                    person("Rika", "release-manager"),
                    person("Sam", "second-manager").model_copy(
                        update={"identities": (Identity(scheme="gpg", key="A" * 40),)}
                    ),
                )
            },
            "SAME_KEY",
        ),
    ],
)
def test_one_person_in_two_roles_is_not_two(changes: dict[str, object], code: str) -> None:
    with pytest.raises(CheckError) as refusal:
        two_persons(FINAL, policy(**changes))
    assert refusal.value.code == code
    assert identity("Sam") != identity("Rika")


# --- the table ------------------------------------------------------------------------------------


def test_the_document_has_each_row_as_the_code_has_it_and_in_its_order() -> None:
    text = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    shown = text.split("| row | well: proven | not proven |")[1].split("\n\n")[0]
    lines = [line.strip("|").split(" | ") for line in shown.splitlines()[2:]]
    found = [tuple(one.strip() for one in line) for line in lines]
    assert found == [(one.name, one.proves, one.leaves) for one in ROWS]


def test_each_row_has_a_name_of_its_own_and_says_what_it_leaves_open() -> None:
    assert len(BY_NAME) == len(ROWS)
    assert all(one.proves and one.leaves and one.unknown.endswith(".") for one in ROWS)
    assert all(one.seconds is None or one.seconds >= 60 for one in ROWS)


def test_every_question_has_its_row() -> None:
    every = SimpleNamespace(probes=dict, policy=POLICY, website=None)
    assert {*questions(RELEASE, every)} <= {*BY_NAME}  # type: ignore[arg-type]  # as much as is read


# --- what is said ---------------------------------------------------------------------------------


def test_each_thing_is_said_on_a_line_and_the_same_remedy_once() -> None:
    said = "it cannot be read:\nno route\n\nto host " + "x" * 200
    ill = [
        Finding(what, what, "ill", "UNREACHABLE", said, "Look at the line.")
        for what in ("one", "two")
    ]
    ill.append(Finding("three", "three", "unknown", "UNKNOWN", "", "Look again."))
    well = Finding("four", "four", "well", found="y")
    lines = [in_a_line(one) for one in [*ill, well]]
    assert lines[0].startswith("!!  one: UNREACHABLE: it cannot be read: no route to host xxx")
    assert (lines[2], lines[3]) == ("??  three: UNKNOWN", "ok  four: y")
    assert all("\n" not in one and len(one) <= 80 for one in lines)
    assert to_see_to(ill) == [
        "UNREACHABLE: one; two",
        "    it cannot be read:",
        "    no route",
        f"    to host {'x' * 200}",
        "    What to do: Look at the line.",
        "UNKNOWN: three",
        "    What to do: Look again.",
    ]
    absent = Finding("five", "five", "absent")
    assert summary([*ill, well, absent]) == [
        "Not in this world: five",
        "1 are well, 2 to be seen to, 1 not known: find out.",
    ]
    assert summary([well]) == ["All is well: 1 things."]


@pytest.mark.parametrize("outcome", ["well", "ill", "unknown"])
def test_the_status_and_the_form_for_machines_say_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], outcome: str
) -> None:
    remedy = "" if outcome == "well" else "Do this."
    one = Finding("tools", "all tools are here", outcome, "CODE", "git", remedy)  # type: ignore[arg-type]  # one of them
    closed: list[int] = []
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: iter([one]))
    opened = (RELEASE, world(), lambda: closed.append(1))
    monkeypatch.setattr(relkit.opening, "open_world", lambda *_: opened)
    options: Any = SimpleNamespace(
        version="3.15.0a2", kind="", date="", world="", records="", json=True
    )
    status = cli_doctor.doctor(options)
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert status == found["status"] == int(outcome != "well")
    assert found["rows"][0]["proves"] == BY_NAME["tools"].proves
    assert (found["rows"][0]["outcome"], found["rows"][0]["remedy"]) == (outcome, remedy)
    assert "all tools are here" in err
    assert closed == [1]


def test_a_rehearsal_is_well_and_its_state_has_no_file_of_the_doctor(tmp_path: Path) -> None:
    records = tmp_path / "records"
    words = ("doctor", "3.15.0a2", "--world", rehearsals.WORLD, "--records", records, "--json")
    done = rehearsals.relkit(*words)
    found = json.loads(done.stdout)
    ill = [one for one in found["rows"] if one["outcome"] in {"ill", "unknown"}]
    assert [one["row"] for one in ill] == []
    assert done.returncode == 0
    assert [one["row"] for one in found["rows"] if one["row"] in {"staging", "GPG key"}] == [
        *("GPG key", "staging"),
    ]
    assert not list(records.rglob("relkit-doctor*"))
    assert not (records / "3.15.0a2").exists()


def test_a_transition_that_has_no_files_puts_none_into_staging(tmp_path: Path) -> None:
    where = ("--world", rehearsals.WORLD, "--records", tmp_path / "records", "--json")
    done = rehearsals.relkit("doctor", "3.13", "--kind", "begin-security-only", *where)
    rows = {one["row"]: one["outcome"] for one in json.loads(done.stdout)["rows"]}
    assert done.returncode == 0
    assert (rows["staging"], rows["push to upstream"]) == ("absent", "well")
