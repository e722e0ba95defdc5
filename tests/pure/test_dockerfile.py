"""Setup steps: which are accepted, which are refused and why, and their Dockerfile. fuzz/ goes further."""

import hashlib

import pytest

from fuzz.dockerfiles import check_harmless
from fuzz.oracle import is_misread, meant, read
from lightrunner.rules.dockerfile import StepViolation, cache_tag, check_platform, check_steps, dockerfile
from lightrunner.rules.violation import RuleViolation

from .strategies_steps import ALMOST_SPACES, GO_SPACES, HARMLESS, LONGEST_STEP_BYTES
from .violations import violation

NEWLINE = "a newline or a carriage return"
SPACE = "a space that the Dockerfile parser drops"
BACKSLASH = "ends with a backslash"
FLAG = "begins with '--'"
EXEC = "begins with a JSON list"
HEREDOC = "contains a here-document"
LONG = "longer than 65531 bytes"

REFUSED = [
    (None, "not a str"),
    (b"echo", "not a str"),
    ("", "is empty"),
    (" \t ", "is empty"),
    ("echo \0", "NUL"),
    ("echo \udcff", "UTF-8"),
    ("echo\nUSER root", NEWLINE),
    ("echo\r", NEWLINE),
    ("\n", NEWLINE),
    *((f"echo{space}", SPACE) for space in GO_SPACES if space not in "\t\n\r "),
    *((f"{space}echo", SPACE) for space in GO_SPACES if space not in "\t\n\r "),
    ("\u3000", SPACE),
    ("echo \\", BACKSLASH),
    ("echo \\\\", BACKSLASH),
    ("echo \\ \t", BACKSLASH),
    ("\\", BACKSLASH),
    ("--mount=type=bind,source=/,target=/host cat", FLAG),
    (" \t --network=host curl", FLAG),
    ("--", FLAG),
    ('["sh", "-c", "x"]', EXEC),
    ('["a"] && echo b', EXEC),
    ("[] x", EXEC),
    ("[1, {}]", EXEC),
    ("[" * 2000 + "]" * 2000, EXEC),
    ("cat <<EOF", HEREDOC),
    ("<<EOF", HEREDOC),
    ("cat <<-EOF > file", HEREDOC),
    ("cat 3<<EOF", HEREDOC),
    ("cat <<'EOF'", HEREDOC),
    ('cat <<"E F" && x', HEREDOC),
    ("cat <<$x", HEREDOC),
    ('cat \\"a <<EOF', HEREDOC),
    ("cat << EOF", HEREDOC),
    ("cat <<\tEOF", HEREDOC),
    ("cat <<- EOF", HEREDOC),
    ("cat <<a<b <<EOF", HEREDOC),
    ("cat\u2003<<EOF", HEREDOC),
    ('echo "a" <<EOF "b"', HEREDOC),
    ("echo $(( 1<<2 ))", HEREDOC),
    ("echo $((1 << 2))", HEREDOC),
    ("echo ${x:-'a <<EOF b'}", HEREDOC),
    ("echo ${x:-a\\ <<EOF}", HEREDOC),
    ("echo ${x:- \\<<EOF}", HEREDOC),
    ('echo "${x:-"} <<EOF', HEREDOC),
    ("x" * (LONGEST_STEP_BYTES + 1), LONG),
    ("é" * (LONGEST_STEP_BYTES // 2 + 1), LONG),
]


@pytest.mark.parametrize(("step", "reason"), REFUSED, ids=lambda value: repr(value)[:30])
def test_what_would_not_be_one_run_is_refused(step: object, reason: str) -> None:
    with pytest.raises(StepViolation, match=reason) as caught:
        check_steps("run", ["echo before", step, "echo after"])
    assert (caught.value.field, caught.value.value) == ("run[1]", step)


@pytest.mark.parametrize("step", HARMLESS, ids=lambda step: step[:30])
def test_what_people_write_is_accepted(step: str) -> None:
    check_harmless(step)


@pytest.mark.parametrize("space", ALMOST_SPACES, ids=ascii)
def test_what_is_no_space_to_go_is_text(space: str) -> None:
    check_harmless(f"{space}echo{space}a{space}")


@pytest.mark.parametrize(
    "step", ["cat <<", "cat <<<", "cat <<a<b", "echo it's <<EOF", 'echo "<<EOF', "a<<EOF", "$x<<EOF"]
)
def test_what_only_looks_like_a_here_document_is_accepted(step: str) -> None:
    check_harmless(step)


def test_blanks_at_the_ends_are_dropped() -> None:
    assert check_steps("run", [" \techo  a\t "]) == ("echo  a",)


@pytest.mark.parametrize("value", ["echo", None, {"echo": 1}, 1])
def test_steps_are_a_list(value: object) -> None:
    with violation("run", value, "not a list"):
        check_steps("run", value)


def test_no_steps() -> None:
    assert check_steps("run", []) == ()


def test_a_violation_names_the_first_bad_step() -> None:
    with pytest.raises(StepViolation) as caught:
        check_steps("run", ("fine", "", "--bad"))
    assert str(caught.value) == "run[1]='': is empty"


def test_the_dockerfile_is_what_was_meant() -> None:
    steps = check_steps("run", ["apk add 'a b'", "[ -f x ] || echo é"])
    content = dockerfile("registry:5000/name:tag", steps)
    assert content == "FROM registry:5000/name:tag\nRUN apk add 'a b'\nRUN [ -f x ] || echo é\n".encode()
    assert read(content) == meant("registry:5000/name:tag", steps)


@pytest.mark.parametrize("step", ["a \\", "--x=y a", '["a"]', "cat <<EOF", "echo ${x:-a\\ <<EOF}", "a\u00a0"])
def test_the_oracle_misreads_what_is_refused(step: str) -> None:
    assert is_misread(step)


# --- tags -------------------------------------------------------------------------------------------------------------


def test_a_tag_is_the_hash_of_image_and_steps() -> None:
    digest = hashlib.sha256(b'["alpine:3",["a","b \\u00e9"]]').hexdigest()
    assert cache_tag("alpine:3", ("a", "b é")) == f"light-runner-cache:{digest}"


def test_other_inputs_have_other_tags() -> None:
    tags = [
        cache_tag("alpine", ("a", "b")),
        cache_tag("alpine", ("b", "a")),
        cache_tag("alpine", ("a b",)),
        cache_tag("alpine", ('a","b',)),
        cache_tag("alpine:3", ("a", "b")),
        cache_tag("alpine", ("a", "b"), "linux/arm64"),
        cache_tag("alpine", ("a", "b", "linux/arm64")),
    ]
    assert len(set(tags)) == len(tags)


# --- platforms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["linux", "linux/amd64", "linux/arm/v7", "windows/amd64/10.0.17763"])
def test_platforms(platform: str) -> None:
    assert check_platform("platform", platform) == platform


@pytest.mark.parametrize("platform", ["", "Linux", "linux/", "/arm64", "linux/arm/v7/x", "linux amd64", "linux\n", 1])
def test_what_is_no_platform(platform: object) -> None:
    with pytest.raises(RuleViolation):
        check_platform("platform", platform)
