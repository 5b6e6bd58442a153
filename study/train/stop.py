"""Stopping: Ctrl-C and SIGTERM, heeded between two steps.

The first signal is kept until the step at hand is done and saved; the
second ends the training at once, and the last checkpoint stays.
"""

import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """The signal that asks for a stop, 0 for none.

    Handlers are set while it is entered. A signal that whoever started
    the process has it ignore stays ignored, and only the main thread can
    set handlers at all.
    """

    signal = 0

    def __enter__(self) -> "Stop":
        is_main = threading.current_thread() is threading.main_thread()
        self.before = {
            number: signal.signal(number, self.receive)
            for number in SIGNALS
            if is_main and signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def receive(self, number: int, _) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number
