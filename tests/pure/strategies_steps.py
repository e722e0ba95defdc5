"""Setup steps to try a Dockerfile parser with: what it has a meaning for, in every order, and ordinary commands."""

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

LONGEST_STEP_BYTES = 65_531
"""Go's bufio.Scanner takes a line of 65,535 bytes, and ``RUN`` and its blank are four."""

GO_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"
"""Of what Go's unicode.IsSpace is true for, enough of each kind."""

ALMOST_SPACES = "\x1c\x1f\u180e\u200b\u2060\ufeff"
"""What other languages take for a space; the last one is the byte order mark."""

# Each is something to the parser, to its lexer, or to JSON.
_TOKENS = (
    *("<", "<<", "<<-", "<<<", "0<<", "12<<", "<<EOF", "<<-EOF", "<<'EOF'", '<<"E F"', "<<$x", "<<2", "EOF", "2"),
    *("\\", "\\\\", "\\ ", "`", "` ", "\\\t"),
    *("'", '"', "''", '""', "$'", '$"', "\\'", '\\"'),
    *("$", "$x", "$1", "$$", "${", "}", "${x}", "${x:-", "${x-", "${x:+", "${x#", "${x%", "${x/", "${#x}", "/"),
    *("[", "]", '["', '"]', '["a"', '["a", "b"]', '","', "[]", "[1]", "[[", "]]", "[ -f a ]", "{", "null", "\\u0041"),
    *("--", "-", "--mount=type=bind", "--network=none", "--security", "--x=y", "=", "-- "),
    *("#", "# escape=`", "#escape=\\", "# syntax=docker/dockerfile:1", "RUN", "RUN x", "FROM x", "ONBUILD RUN", "run"),
    *("x", "echo", "é", "\U0001f600", "\ud800", "\0", "&&", "|", ";", "((", "))", "\x7f", "\x1b"),
)
_blanks = st.sampled_from([*GO_SPACES, *ALMOST_SPACES, "", " ", " ", "  "])
_tokens = st.sampled_from(_TOKENS) | st.text(max_size=3)

hostile_steps: SearchStrategy[str] = st.lists(_tokens | _blanks, max_size=12).map("".join)
"""Tokens and blanks in any order."""

spaced_steps: SearchStrategy[str] = st.lists(_tokens, min_size=1, max_size=6).map(" ".join)
"""Tokens as words, which is where here-documents are looked for."""

json_like_steps: SearchStrategy[str] = st.tuples(
    st.sampled_from(["[", "[ ", "[\xa0", " ["]),
    st.lists(
        st.sampled_from(['"a"', '"\\u0041"', '"', "1", "1e999", "NaN", "null", "[", "]", '"\\ud800"', "'a'"]),
        max_size=4,
    ).map(",".join)
    | st.sampled_from([1, 1, 1, 5, 3000]).map(lambda depth: "[" * depth + "]" * depth),
    st.sampled_from(["]", " ]", "] x", ']"', "]]", "", "] <<EOF"]),
).map("".join)
"""Lists that are JSON, and such that only begin like it."""

_before = (
    *("", " ", "a ", "\\ ", "a\\ ", "\\\\ ", "\t", "\xa0", "\\\xa0"),
    *("'", '"', "' ", '" ', "\\", " \\", "\\' ", "/ "),
)
_behind = ("", "", "}", "}", "'", '"', '}"', '"}', "'}", "/b}", " b", " b}", "} b", "$", "<", "\\")
heredoc_steps: SearchStrategy[str] = st.tuples(
    st.sampled_from(["echo ", "", "echo '", 'echo "']),
    st.sampled_from(["", "${x:-", "${x-", "${x:+", "${x?", "${x#", "${x%", "${x/", "${x}", "$x", "$("]),
    st.sampled_from(_before),
    st.sampled_from(["<<EOF", "<< EOF", "2<<EOF", "<<-EOF", "<<'E F'", "<<$x", "<<a<<b"]),
    st.sampled_from(_behind),
).map("".join)
"""A here-document, or something like one, inside of what the lexer looks into."""

_short_steps = st.one_of(hostile_steps, spaced_steps, heredoc_steps, json_like_steps)


@st.composite
def long_steps(draw: DrawFn) -> str:
    """Around the longest line, in bytes. Of short words: the parser's time grows with the square of a word."""
    filler, end = draw(st.sampled_from(["x y ", "é 🙂 ", "' ", "\\x "])), draw(_short_steps)
    rest = LONGEST_STEP_BYTES + draw(st.integers(-9, 9)) - len(end.encode(errors="replace"))
    count, first = divmod(rest, len(filler.encode()))
    return "x" * first + filler * count + end


step_lists: SearchStrategy[list[str]] = st.lists(_short_steps, min_size=1, max_size=4)
long_step_lists: SearchStrategy[list[str]] = st.lists(long_steps(), min_size=1, max_size=2)
"""Setup steps, as a request has them."""

image_texts: SearchStrategy[str] = st.one_of(
    st.text(st.sampled_from("aZ09._-/:@[]+ "), max_size=30),
    st.lists(
        st.sampled_from(
            [
                *(
                    "a",
                    "A",
                    "0",
                    ".",
                    "..",
                    "-",
                    "--",
                    "_",
                    "__",
                    "/",
                    ":",
                    "@",
                    "sha256:",
                    "localhost",
                    ":5000",
                    "[::1]",
                ),
                *(
                    "f" * 64,
                    "0" * 32,
                    "\n",
                    " ",
                    "\t",
                    "\xa0",
                    "AS x",
                    "\\",
                    "#",
                    "$x",
                    "--platform=x",
                    "library/alpine",
                ),
            ]
        ),
        max_size=10,
    ).map("".join),
    st.text(max_size=20),
)
"""Image references, and what only looks like one."""

# --- what must be accepted --------------------------------------------------------------------------------------------

HARMLESS = (
    "apk add --no-cache curl git",
    "apt-get update && apt-get install -y --no-install-recommends gcc && rm -rf /var/lib/apt/lists/*",
    "pip install --no-cache-dir 'numpy>=1.26,<3' \"pandas[excel]==2.*\"",
    "pip install git+https://example.com/a/b.git@v1#egg=b",
    "[ -f /etc/alpine-release ] && apk add bash || true",
    '[ "$(uname -m)" = "x86_64" ] && echo amd64',
    "[[ -n $HOME ]] && cd ~",
    '[ "a" = "b" ] || echo no',
    "[",
    "cat <<<word",
    "bash -c 'cat <<< \"$HOME\"'",
    "echo $((1<<2)) > /tmp/four",
    'echo "a <<EOF b"',
    "echo 'a << EOF b' \"${HOME}\"",
    "echo a<<b",
    'test "${X:-$(pwd)}" != "" && echo "it\'s"',
    "python3 -c \"import sys; print(sys.version, '<<', 1 << 2)\"",
    "awk '{ print $1 << 2 }' < /etc/passwd",
    "sort < /etc/passwd > /tmp/sorted 2>&1",
    "diff <(echo a) <(echo b)",
    "echo it # a trailing comment, <- here",
    "# only a comment",
    "echo ünï → 漢字 🙂",
    "echo 'one \\ two' \\x",
    "echo \\\\server\\share",
    "printf 'a\\nb\\n' | tee /tmp/ab",
    "echo $'tab\\there' `date`",
    "set -eux; for f in a b; do echo $f; done; ! false",
    "sed -i 's/<<NAME>>/x/' /etc/hosts",
    "ENV=1 FROM=2 RUN=3 env",
    "FROM scratch",
    "RUN true",
    "export A={x,y} && echo {1..3}",
    "cmd -- --flag",
    "-x",
    "-",
    "@echo",
    "! true",
    # The oracle's time grows with the square of a word, so these are short.
    "echo " + "word " * 12_000 + "end",
    ":" + " é" * ((LONGEST_STEP_BYTES - 1) // 3),
    "echo a\u00a0b\u2003c\vd",
    "\ufeffecho",
)

_names = st.text(st.sampled_from("abcxyzABC019_./:=@%+,~^*?-"), min_size=1, max_size=8)
_quotable = st.text(st.sampled_from("ab <<-EOF 2 <<x #&|;()[]{}=*"), max_size=12)
_arguments = st.one_of(
    _names,
    _quotable.map("'{}'".format),
    _quotable.map('"{}"'.format),
    st.sampled_from(
        ["$HOME", "${HOME}", "$1", '"$@"', "$((1<<2))", "$(pwd)", "`id`", "\\*", "\\'", "2>&1", "<in", ">out"]
    ),
    st.sampled_from(
        ["--flag", "--name=value", "-x", "<<<word", "<<< 'word'", "é", "漢字", "[a]", "{a,b}", "1<2", "a<<b"]
    ),
)
_commands = st.tuples(
    st.sampled_from(
        ["echo", "apk", "pip", "apt-get", "[", "[[", ":", "sh", "./configure", "VAR=1", "#", "éclair", "("]
    ),
    st.lists(_arguments, min_size=1, max_size=5).map(" ".join),
).map(" ".join)
harmless_steps: SearchStrategy[str] = (
    st.lists(_commands, min_size=1, max_size=4)
    .flatmap(lambda commands: st.sampled_from([" && ", " || ", " | ", "; ", " & "]).map(lambda by: by.join(commands)))
    .filter(lambda step: not step.endswith("\\"))
)
"""Shell commands as people write them. No here-document and no exec form is among them."""
