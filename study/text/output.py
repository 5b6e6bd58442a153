"""Standard output: where it is closed or full, a command ends in a line.

`twice | head -1` closes the pipe, a disk can be full, and both show only
when what was written leaves its buffer, at the latest when Python ends.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

CLOSED = 128 + 13  # as a shell counts a process that SIGPIPE has ended
FULL = 2


class OutputError(Exception):
    """What kept standard output from being written.

    No OSError, so that nobody takes it for that of another file.
    """

    def __init__(self, error: OSError):
        super().__init__(
            "expected to write to standard output, got "
            f"{error.strerror or error}"
        )
        # EINVAL is what Windows says of a closed pipe.
        self.is_closed = error.errno in (errno.EPIPE, errno.EINVAL)


class Output:
    """A stream that raises OutputError where the other raises OSError."""

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name: str):
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with output_errors():
            return self.stream.write(text)

    def flush(self) -> None:
        with output_errors():
            self.stream.flush()


@contextmanager
def output_errors() -> Iterator[None]:
    """Turn OSError into OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(error) from error


@contextmanager
def whole_output() -> Iterator[None]:
    """Write all of the output, or end with what is to be said of it."""
    stream = sys.stdout
    if stream is None:  # closed before Python began
        yield
        return
    try:
        with redirect_stdout(Output(stream)):
            try:
                yield
            finally:
                sys.stdout.flush()
    except OutputError as error:
        discard(stream)
        if error.is_closed:
            sys.exit(CLOSED)
        print(f"twice: {error}", file=sys.stderr)
        sys.exit(FULL)


def discard(stream) -> None:
    """Let what the stream still holds go nowhere when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
