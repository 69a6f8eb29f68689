"""How the program behaves among others: exit codes, pipes, Ctrl-C, terminals, secrets."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from segmenter.cli.codes import Exit
from tests.cli.golden import ran
from tests.servers import Server, free_port, newest

SEGMENTER = Path(sys.executable).with_name("segmenter")
LIMIT_S = 60


@pytest.fixture
def place(newest_server: Server, namespace: str) -> list[str]:
    """The options that lead to a stream of three messages."""
    given = ["--url", newest_server.url, "--namespace", namespace]
    assert ran([*given, "streams", "create", "orders", "--partitions", "1"])[0] == Exit.OK
    assert ran([*given, "send", "orders", "--key", "k"], b"one\ntwo\nthree")[0] == Exit.OK
    return given


def started(*arguments: str, stdin: int | None = None) -> subprocess.Popen[str]:
    """A process of its own; to be entered, so that its pipes are closed."""
    pipe = subprocess.PIPE
    return subprocess.Popen([SEGMENTER, *arguments], stdin=stdin, stdout=pipe, stderr=pipe, text=True)


# --- exit codes -----------------------------------------------------------------------------------------------------


def test_success_is_0(place: list[str]) -> None:
    assert ran([*place, "streams", "ls"])[0] == 0


def test_what_has_no_code_of_its_own_is_1(place: list[str]) -> None:
    code, out, err = ran([*place, "send", "orders"], b"no tab")
    assert (code, out) == (1, "")
    assert "line 1" in err


@pytest.mark.parametrize(
    "words",
    [
        ["bogus"],
        ["tail"],
        ["tail", "orders", "--count", "0"],
        ["tail", "orders", "--from", "somewhere"],
        ["-o", "xml", "streams", "ls"],
        ["--namespace", "a b", "streams", "ls"],
        ["--url", "ftp://host", "streams", "ls"],
    ],
)
def test_wrong_usage_is_2(words: list[str]) -> None:
    code, out, err = ran(["--url", "memory://", *words])
    assert (code, out) == (2, "")
    assert err
    assert "Traceback" not in err


@pytest.mark.parametrize("option", [["--url", "memory://"], ["--namespace", "shop"], ["-o", "json"]])
def test_an_option_that_would_change_nothing_is_2_and_says_what_would(option: list[str]) -> None:
    """A worker that is run against another server than its reader thinks is worse than none."""
    code, out, err = ran(["run", "shop:worker", *option])
    assert (code, out) == (2, "")
    assert "run goes by none of --url, --namespace and -o: the worker names its namespace, and SEGMENTER_URL" in err


def test_no_url_at_all_is_2_and_says_where_one_could_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGMENTER_URL", raising=False)
    code, _, err = ran(["streams", "ls"])
    assert code == 2
    assert "SEGMENTER_URL" in err


def test_the_url_may_come_from_the_environment(
    place: list[str], newest_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMENTER_URL", newest_server.url)
    code, out, _ = ran([*place[2:], "streams", "ls", "-o", "jsonl"])
    assert (code, '"stream": "orders"' in out) == (0, True)


def test_options_may_stand_before_and_after_the_command(place: list[str]) -> None:
    before = ran(["-o", "json", *place, "streams", "ls"])
    assert before == ran(["streams", "ls", *place, "-o", "json"])
    assert before[0] == 0


@pytest.mark.parametrize("words", [["tail", "nothing"], ["groups", "pause", "orders", "nobody"]])
def test_what_is_not_there_is_3(place: list[str], words: list[str]) -> None:
    assert ran([*place, *words])[0] == 3


def test_what_is_refused_is_4(place: list[str]) -> None:
    assert ran([*place, "streams", "create", "orders", "--partitions", "2"])[0] == 4


@pytest.mark.parametrize("words", [["streams", "ls"], ["tail", "orders"], ["send", "orders"], ["doctor"]])
def test_a_server_that_does_not_answer_is_5(words: list[str]) -> None:
    code, out, err = ran(["--url", f"redis://me:s3cret@127.0.0.1:{free_port()}/0?password=s3cret", *words])
    assert (code, out) == (5, "")
    assert "check that the server runs" in err
    assert "s3cret" not in err


def test_a_failed_check_is_6() -> None:
    server = Server(newest(), "--maxmemory-policy", "allkeys-lru")
    try:
        assert ran(["--url", server.url, "doctor"])[0] == 6
    finally:
        server.stop()


@pytest.mark.parametrize("words", [["tail", "orders", "--from", "earliest"], ["send", "orders", "--key", "k"]])
def test_ctrl_c_is_130_and_no_traceback(place: list[str], words: list[str]) -> None:
    """While it waits: for messages, or for input."""
    reader, writer = os.pipe()
    with (
        started(*place, *words, stdin=reader) as process,
        started(*place, "tail", "orders", "--from", "earliest") as eye,
    ):
        os.write(writer, b"four\n")
        assert process.stdout is not None
        assert eye.stdout is not None
        watched = process.stdout if words[0] == "tail" else eye.stdout
        last = "three" if words[0] == "tail" else "four"
        while not watched.readline().endswith(f"{last}\n"):
            pass
        eye.kill()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == Exit.INTERRUPTED
    assert err in ("", *(f"{count} sent to orders, and perhaps what was under way\n" for count in (0, 1)))
    os.close(reader)
    os.close(writer)


# --- pipes and terminals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_a_reader_that_has_had_enough_is_no_error(place: list[str], output: str) -> None:
    ran([*place, "send", "orders", "--key", "k"], b"x" * 100_000 + b"\n" + b"y\n" * 20_000)
    with started(*place, "tail", "orders", "--no-follow", "-o", output) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == Exit.OK


def on_terminal(*arguments: str, columns: int = 100, **environment: str) -> str:
    """What a command writes to a terminal."""
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    wanted = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [SEGMENTER, *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**wanted, "TERM": "xterm-256color", **environment},
    )
    os.close(terminal)
    written = b""
    try:
        while chunk := os.read(main, 1 << 16):
            written += chunk
    except OSError:  # its other end is closed
        pass
    process.wait(LIMIT_S)
    os.close(main)
    return written.decode()


COLOUR = re.compile(r"\x1b\[(?:1;)?3\d")


def test_colour_is_for_terminals(place: list[str]) -> None:
    command = [*place, "tail", "orders", "--no-follow"]
    assert COLOUR.search(on_terminal(*command))
    assert not COLOUR.search(on_terminal(*command, NO_COLOR="1"))
    assert "\x1b" not in ran(command)[1]


def test_a_terminal_gets_no_control_characters_of_others(place: list[str]) -> None:
    """A payload must not be able to move the cursor, or to change the title of the window."""
    ran([*place, "send", "orders", "--key", "\x1b]0;k\x07"], b"\x1b[2Jgone\xc2\x9b1m\x08")
    written = on_terminal(*place, "tail", "orders", "--no-follow", "--from", "earliest", NO_COLOR="1")
    ours = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)  # of the program itself: bold, dim, the cursor
    assert "\\x1b[2Jgone\\x9b1m\\x08" in ours
    assert "\\x1b]0;k\\x07" in ours
    assert not re.search(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f]", ours)
    assert "\x1b[2J" not in written


def test_a_narrow_terminal_gets_the_columns_that_matter_most(place: list[str]) -> None:
    written = on_terminal(*place, "streams", "ls", columns=35, NO_COLOR="1")
    assert "MESSAGES" in written.splitlines()[0]
    assert "GROUPS" not in written.splitlines()[0]
    assert "no room for SIZE, GROUPS" in written
    assert "GROUPS" in on_terminal(*place, "streams", "ls", columns=60, NO_COLOR="1")


def test_progress_is_for_terminals(place: list[str], tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_bytes(b"x\n" * 3)
    with lines.open() as stdin, started(*place, "send", "orders", "--key", "k", stdin=stdin.fileno()) as process:
        out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out, err) == (0, "", "3 sent to orders\n")


# --- completion -----------------------------------------------------------------------------------------------------

COMPLETING = """
source /dev/stdin
COMP_WORDS=(segmenter {words}) COMP_CWORD={at}
_segmenter
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(*words: str) -> list[str]:
    """What bash offers for the last word."""
    code, script, err = ran(["completion", "bash"])
    assert (code, err) == (0, "")
    program = COMPLETING.format(words=" ".join(words), at=len(words))
    done = subprocess.run(["bash", "-c", program], input=script, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_shell_completes_commands_and_options() -> None:
    assert completed("gr") == ["groups"]
    assert completed("groups", "re") == ["reset", "resume"]
    assert "--partition-size" in completed("streams", "create", "--part")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_scripts_of_theirs(shell: str) -> None:
    code, out, _ = ran(["completion", shell])
    assert code == 0
    assert "rebalances" in out
