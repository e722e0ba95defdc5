"""Benchmarks: lightrunner beside its peers, in one run, as ratios. ``./dev bench --help``.

sampling.py    a case, its contenders, and how they are measured: shuffled rounds
statistics.py  medians, percentiles and ratios, with their intervals (pure)

floor.py       the engine's calls over a plain blocking socket: the floor for every client
libraries.py   docker-py and aiodocker                     programs.py  the docker CLI and runc
job.py         one container, described alike to every peer
stage.py       the engine, image, folders and peers of every case

cases/         the cases                                      full_pools.py wait until warm pools are full
probes.py      the peak memory of one run, in a new process   holding.py    the same for many runs at once

harness.py     spawn latency of your own image and command: ``python -m bench.harness --help``
latencies.py   the harness's results: percentiles, CSV, JSON (pure)

machine.py     a description of the machine
report.py      JSON and Markdown                           plots.py     PNG and SVG
"""
