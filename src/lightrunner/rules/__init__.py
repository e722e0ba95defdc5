"""The rules: pure functions and constants, without I/O, trio or httpx.

No module here imports anything of lightrunner outside this package.

    violation.py   the exception that the validators raise
    limits.py      every default, limit, label and name, with its reason and source
    names.py       check image references, environments, networks, runtimes, container and host paths
    sizes.py       parse memory, cpus, gpus and time-outs
    walls.py       check process limits, tmpfs, ulimits, seccomp profiles, user namespaces
    identity.py    check a run's user, hostname, hosts and labels
    secrets.py     check secrets, and pack them for the init program
    dockerfile.py  setup steps -> Dockerfile and cache tag
    members.py     which files enter and leave a container by tar, and with which names and modes
    tarheader.py   encode a tar header
    tarstream.py   decode a tar archive, incrementally
    gate.py        the shell scripts of a warm container: the gate, and the dispatch that opens it
    lines.py       bytes -> log lines, incrementally
    terminal.py    input -> what is typed into a terminal
    verdict.py     evidence of a run's end -> its outcome
    report.py      the end of a measured run's stderr -> what it used
    explain.py     a run's end -> one sentence for a person
"""
