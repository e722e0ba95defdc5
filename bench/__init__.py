"""Benchmarks: lightrunner beside its peers, in one run, as ratios. ``./dev bench --help``.

sampling.py    a case, its contenders, and how they are measured: shuffled rounds
statistics.py  medians, percentiles, ratios, and how sure they are (pure)

floor.py       the engine's calls over a plain blocking socket: what no client can beat
libraries.py   docker-py and aiodocker                     programs.py  the docker CLI and runc
job.py         one container, described alike to every peer
stage.py       what every case stands on: engine, image, folders, peers

cases/         what is measured                               stocks.py     what is kept ready, full again
probes.py      in a process of its own: its peak of memory    holding.py    likewise, of many runs at once

harness.py     spawn latency of anybody's own image and command: ``python -m bench.harness --help``
latencies.py   what it measured: percentiles, CSV, JSON (pure)

machine.py     where it was measured
report.py      JSON and Markdown                           plots.py     PNG and SVG
"""
