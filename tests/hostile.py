"""Words that do harm where they are taken for more than words: fed to every free input.

Each is refused there with a code and has no effect, or is kept and given back as the plain word it
is, where an input takes any words (a few, such as ``null``, are fine names, too). Some are longer
than any name may be; all are `str`, some with characters that no file or protocol can carry.

None may do real harm where a protection (or a test) fails, even as root: paths lead to files that
no machine has, and commands only make a file. A test that writes files under these names must keep
them below its folder by itself: ``folder / "/etc/x"`` is ``/etc/x``.
"""

from __future__ import annotations

CANARY = "relkit-hostile-canary"
"""The name of the file that a string makes, if anything of it is ever run."""

SHELL = (
    *(f"{one}touch {CANARY}" for one in ("; ", "| ", "|| ", "& ", "&& ", "\n", "\r\n", "a; ")),
    *(f"a{one}touch {CANARY}" for one in (";", "|", "&", "&&", "||", "\n", "\t;", " ; ")),
    *(f"$({one})" for one in (f"touch {CANARY}", "id", "true", f"touch${{IFS}}{CANARY}")),
    *(f"`{one}`" for one in (f"touch {CANARY}", "id", "true")),
    *(f"a$(touch {CANARY})b", f"a`touch {CANARY}`b", f'"; touch {CANARY}; "'),
    *(f"'; touch {CANARY}; '", f"') ; touch {CANARY} #", f"a' $(touch {CANARY}) '", "'", '"'),
    *("$HOME", "${HOME}", "$IFS", "$0", "$$", "$?", "!!", "!$", "~", "~root", "~root/.ssh"),
    *("*", "?", "[a-z]*", "{a,b}", "{1..9}", "a b", " a", "a ", "\t", "a\tb", "\\", "a\\", "\\n"),
    *(
        "> /etc/relkit-hostile-canary",
        "< /etc/relkit-hostile-canary",
        ">> x",
        "2>&1",
        "a>b",
        "a<b",
        "<(id)",
        ">(id)",
        "#",
        "a#",
    ),
    *("%PATH%", "%COMSPEC%", "^&calc", "| powershell -c calc", "& calc.exe", "a&calc"),
)
OPTIONS = (
    *("-", "--", "-rf", "-h", "--help", "--version", "-v", "-o", "-e", "-i", "-c", "-f", "@file"),
    *("-oProxyCommand=touch canary", "-oProxyCommand=id", "-F/dev/null", "-S/tmp/x", "-D9999"),
    *("--upload-pack=touch canary", "--exec=id", "--receive-pack=id", "--output=/tmp/x", "-u id"),
    *("--config=core.sshCommand=id", "-cprotocol.ext.allow=always", "ext::sh -c id", "--all"),
    *("--rsh=id", "-ersh", "--checkpoint-action=exec=id", "--to-command=id", "-I id", "--mirror"),
    *("-exec id", "-print", "--no-preserve-root", "--eval=1", "--require=x", "-lLOG", "-b-"),
)
PATHS = (
    *(
        "..",
        ".",
        "../",
        "./",
        "/",
        "//",
        "///",
        "../..",
        "../../../../etc/relkit-hostile-canary",
        "/etc/relkit-hostile-canary",
    ),
    *(
        "../../.relkit-hostile-canary",
        "../../.ssh/relkit-hostile-canary",
        "a/../b",
        "a/../../b",
        "a/./b",
        "a//b",
        "a/",
    ),
    *(
        "..\\..\\x",
        "C:\\x",
        "C:x",
        "\\\\host\\share",
        "//host/share",
        "file:///etc/relkit-hostile-canary",
    ),
    *("..%2f..%2fx", "%2e%2e/x", "%2e%2e%2f", "..%c0%afx", "..;/x", "....//x", ".../x", "a/.../b"),
    *(".git", ".git/config", ".git/hooks/post-checkout", ".ssh", ".htaccess", ".part-x", "a:b"),
    *(
        "/dev/null",
        "/dev/stdin",
        "/dev/zero",
        "/dev/tcp/127.0.0.1/1",
        "/proc/self/relkit-hostile-canary",
    ),
    *("CON", "NUL", "AUX.txt", "COM1", "a.", "a..", "a ", "a::$DATA", "git@host:x", "host:x"),
    *("refs/heads/../x", "refs/heads/a..b", "refs/heads/a.lock", "HEAD", "FETCH_HEAD", "@{-1}"),
    *("a@{1}", "a^{}", "a~1", ":/a", "a:b/c", "+refs/heads/main", "main:main", "refs/*:refs/*"),
)
LINES = (
    *(
        "\n",
        "\r",
        "\r\n",
        "a\n",
        "\na",
        "a\nb",
        "a\rb",
        "a\r\nb",
        "a\n\nb",
        "\x0b",
        "\x0c",
        "a\x0bb",
    ),
    *("a\x85b", "a\u2028b", "a\u2029b", "a\r\nX-Header: 1", "a\r\n\r\n<html>", "a\nSubject: x"),
    *(
        "a\nrm relkit-hostile-canary",
        "a\nput /etc/relkit-hostile-canary x",
        "a\n!touch canary",
        "!touch canary",
        "a\nhost x y ALL",
    ),
    *("\x00", "a\x00", "\x00a", "a\x00b", "a\x00.tgz", "a\x00/../../b"),
)
FORMATS = (
    *("%s", "%n", "%x%x%x", "%d%s%n", "%1$s", "%%", "%", "%z", "%-99999999d", "%(name)s", "%@"),
    *("{", "}", "{}", "{0}", "{{", "}}", "{0.__class__}", "{self.__init__.__globals__}"),
    *("{name!r:>999999999}", "{:>99999999}", "{a[b]}", "${a}", "$(a)", "$a", "#{a}", "@{a}"),
)
TEMPLATES = (
    *(
        "{{7*7}}",
        "{{ config }}",
        "{% raw %}",
        "{% include '/etc/relkit-hostile-canary' %}",
        "{# a #}",
        "{{''}}",
    ),
    *("{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ cycler.__init__.__globals__.os }}"),
    *("<%= id %>", "<? id ?>", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!--"),
    *('"><svg onload=alert(1)>', "javascript:alert(1)", "[a](javascript:alert(1))", "&lt;", "&#0;"),
    *("</textarea><script>", "'-alert(1)-'", "]]>", "<![CDATA[", '<!DOCTYPE a [<!ENTITY b "c">]>'),
    *(
        "' OR '1'='1",
        "'; DROP TABLE releases; --",
        '" OR ""="',
        "1; DELETE FROM x",
        "a' --",
        "1/**/OR/**/1",
    ),
    *("__import__('os').system('id')", "eval(1)", "!!python/object/apply:os.system [id]", "=1+1"),
    *("=cmd|' /C calc'!A0", "@SUM(1)", "${{ github.token }}", "${{ secrets.X }}", "$[variables.x]"),
    *("$(System.AccessToken)", "##vso[task.setvariable variable=x]y", "::set-output name=x::y"),
    *("${jndi:ldap://127.0.0.1/a}", '{"a":1}', "[1]", "null", "true", "NaN", "1e999", '","b":"c'),
    *("?a=b", "a?b=c", "a&b=c", "a=b&a=c", "a#b", "%0d%0aX: 1", "%00", "%ff", "http://127.0.0.1/"),
)
LETTERS = (
    *("\u202e", "a\u202eb", "a\u200bb", "\u200d", "\ufeffa", "a\u00adb", "\u2066a", "a\u2069"),
    *(
        "\x1b[2J",
        "\x1b]0;a\x07",
        "\x07",
        "\x08\x08\x08",
        "a\x7f",
        "\x01",
        "\x1f",
        "\x9b31m",
        "\x90",
    ),
    *(
        "\uff41",
        "\uff0e\uff0e\uff0f",
        "\u2025",
        "\uff0fetc",
        "\u0430",
        "p\u0443thon",
        "\ufb00",
        "K",
        "\u0131",
        "\u0130",
        "\u00df",
        "\u2167",
        "\u0663",
        "\uff13.15.0",
    ),
    *("e\u0301", "\u0301", "a" + "\u0301" * 200, "\U000e0001", "\U0001f40d", "\ud800", "a\udcffb"),
    *("\ufffe", "\uffff", "\U0010ffff", "\ue000", "\xa0", "a\xa0b", "\u3000", "\u180e", ""),
)
LENGTHS = (
    *("a" * 256, "a" * 4096, "a" * 65_537, "a/" * 2000, "../" * 2000, "-" * 5000, "\u00e9" * 300),
    *("(" * 3000, "[" * 3000, "{" * 3000, "9" * 5000, "a" * 255 + ".tgz", "%s" * 1000, "\n" * 1000),
)
STRINGS: tuple[str, ...] = tuple(
    dict.fromkeys(
        (*SHELL, *OPTIONS, *PATHS, *LINES, *FORMATS, *TEMPLATES, *LETTERS, *LENGTHS),
    )
)
"""All of them, none twice: more than 200."""


def shown(text: str) -> str:
    """Return a name for a string in a test's own name: short, and of plain letters."""
    return ascii(text)[1:-1][:40] or "empty"
