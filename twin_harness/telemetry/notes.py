"""Notes on what could not be measured, each cause once."""

from __future__ import annotations

_MOST_CAUSES = 200
# What a file or psutil raises where it is not there, is not let read, or holds something else than
# ever before; psutil raises the last two for what is not there.
UNREADABLE = (OSError, ValueError, LookupError, RuntimeError, AttributeError)


class Notes(list[str]):
    """What a run's notes will say, each cause once.

    A sensor that fails with every sample is one sentence.
    """

    def __init__(self) -> None:
        super().__init__()
        self._causes: set[str] = set()

    def once(self, cause: str, sentence: str) -> None:
        """Add a sentence unless its cause has one.

        Causes are bounded, so that a long run does not grow.
        """
        if cause not in self._causes and len(self._causes) < _MOST_CAUSES:
            self._causes.add(cause)
            self.append(sentence)

    def failed(self, what: str, error: Exception, consequence: str) -> None:
        """Note that a reading failed.

        Args:
            what: what was read.
            error: what it raised.
            consequence: what is empty or left out therefore.
        """
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        self.once(f"failed {what}", f"{what} could not be read ({reason:.120}): {consequence}")
