"""
The benchmark: what nsctl costs beside other means to the same end. `scripts/bench` starts it.

    cost.py       one measurement: time, CPU time, peak memory
    host.py       a lab host to measure on, and when its devices are gone
    variant.py    what is compared: ways to attach a sandbox to a bridge; variants/ has them
    bench.py      the state of one benchmark: variants, clock, readings
    phases/       what is measured: everyday commands, one sandbox, many, recovery, memory, imports
    summary.py    medians, ranges, ratios; table.py and picture.py show them
"""
