"""A phone on adb: speed by LiteRT's `benchmark_model`, answers by a runner that one may give.

No phone was at hand when this was written. What adb and `benchmark_model` say was taken from the
programs themselves: the messages of adb's client, and the sources of the tool (named where its
output is read). The tests replay a conversation composed from those, not one recorded from a
phone; the first measurement on a real one should be read with that in mind.

Rooms: `adb` talks, `workplace` cleans up, `device` says what phone it is, `benchmark_model` writes
the tool's command line and reads its output, `placement` says from it what really executed the
graph, `measure` does a measurement, `answers` asks a runner for probabilities, `runtime` registers
the two units `xnnpack` and `gpu`.
"""
