"""The rules: pure functions and constants, without I/O, without trio, without httpx.

This is the bottom of three floors (rules, engine, runner). Imports point downward only.

    violation.py   the one exception that the validators raise
    limits.py      every default, cap, label and name, with its reason and source
    names.py       image references, environment, networks, runtimes, container and host paths
    sizes.py       memory, cpus, gpus, time-outs: text -> numbers of the engine
    dockerfile.py  setup steps -> Dockerfile bytes and cache tag
    members.py     what may enter and leave by tar: names, kinds, modes, what a seed skips
    tarheader.py   a file's name, mode, size and time -> its header in a tar archive
    tarstream.py   tar bytes -> members and their contents, incrementally
    gate.py        a warm container's gate, and what opens it: shell text
    pause.py       the program that holds a prepared network: ELF bytes
    lines.py       bytes -> log lines, incrementally
"""
