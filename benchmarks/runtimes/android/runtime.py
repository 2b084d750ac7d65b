"""The runtime `android`, once per delegate. Not a default one: it is used where it is named."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from benchmarks.runtimes.android.adb import choose, find_adb
from benchmarks.runtimes.android.benchmark_model import DELEGATES, Delegate
from benchmarks.runtimes.android.inference import AndroidSession
from benchmarks.runtimes.android.measure import (
    GET_PROGRAM,
    PhoneOptions,
    PhoneReply,
    measure_on_phone,
)
from benchmarks.runtimes.interface import Runtime
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import ArtefactError

MOST_PHOTOS = 1000
"""Every photo travels over the cable as a raw tensor."""


@dataclass(frozen=True)
class AndroidRuntime(Runtime):
    """A phone on adb with one delegate.

    It is not timed by the harness's own stopwatch, which would measure the cable: `measure` asks
    the tool on the phone.

    Attributes:
        options: How the phone is found and measured; its delegate is the unit's.
    """

    unit: Delegate
    options: PhoneOptions = field(default_factory=PhoneOptions)
    name: str = "android"
    format: Literal["tflite"] = "tflite"
    timed: bool = False
    limit: int | None = MOST_PHOTOS

    def missing(self) -> str | None:
        """What is missing: adb, a phone that can be used, or a program to execute on it."""
        try:
            adb = find_adb(self.options.adb)
            if self.options.find_program() is None and not self.answers:
                return GET_PROGRAM
            choose(adb, self.options.serial)
        except ArtefactError as error:
            return str(error)
        return None

    @property
    def answers(self) -> bool:
        """Whether `open` can give a session: a runner is named. Otherwise only speed is known."""
        return self.options.find_runner() is not None

    def open(self, bundle: Bundle, variant: Variant, threads: int = 1) -> AndroidSession:
        """Sends a variant and the runner to the phone; see `inference` for the runner.

        Raises:
            InputError: The variant is not a TFLite file, or no phone can be chosen.
            MissingDependencyError: adb or the runner is missing.
            PhoneError: The phone or the cable failed.
        """
        return self._open(bundle, variant, threads)

    def _open(self, bundle: Bundle, variant: Variant, threads: int) -> AndroidSession:
        del threads
        return AndroidSession(bundle, variant, replace(self.options, delegate=self.unit))

    def measure(self, bundle: Bundle, variant: Variant) -> PhoneReply:
        """Speed, memory and placement; see `measure_on_phone`.

        Raises:
            InputError: The variant is not a TFLite file, or no phone can be chosen.
            MissingDependencyError: adb or `benchmark_model` is missing.
            PhoneError: The phone, the cable or the tool failed.
        """
        return measure_on_phone(bundle, variant, replace(self.options, delegate=self.unit))


RUNTIMES = tuple(AndroidRuntime(delegate) for delegate in DELEGATES)
