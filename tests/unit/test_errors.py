"""The errors: which class a caller can rely on, and who has to act."""

import pytest

from twin_harness import errors

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and value.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_is_a_twin_error(error):
    """Whatever the harness raises on purpose can be caught as TwinError."""
    assert issubclass(error, errors.TwinError)


@pytest.mark.parametrize(
    "error",
    [e for e in CLASSES if e not in (errors.TwinError, errors.ExperimentError)],
    ids=lambda error: error.__name__,
)
def test_every_error_says_who_must_act(error):
    """The first line of each class names who has to act, or that nobody is at fault."""
    assert (
        " must " in error.__doc__.splitlines()[0]
        or "nobody is at fault" in error.__doc__
        or error is errors.FidelityMissed
    )


def test_bad_input_is_a_value_error():
    """A caller without the harness's names still catches bad input as ValueError."""
    with pytest.raises(ValueError, match="expected 1 but got 2"):
        raise errors.InvalidInput("expected 1 but got 2")


def test_a_failure_of_the_harness_is_a_runtime_error():
    """A failure of the harness itself is a RuntimeError, and no ValueError."""
    assert issubclass(errors.HarnessFailure, RuntimeError)
    assert not issubclass(errors.HarnessFailure, ValueError)


def test_a_missed_load_is_an_assertion():
    """A fidelity miss counts as a failed assertion, so that pytest reports it as a failure."""
    assert issubclass(errors.FidelityMissed, AssertionError)


def test_undecided_is_neither_failure_nor_experiment_error():
    """Undecided is apart from everything that says an experiment went wrong."""
    assert not issubclass(
        errors.Undecided, (errors.ExperimentError, AssertionError, ValueError, RuntimeError)
    )


@pytest.mark.parametrize(
    "error", [errors.ExperimentFailed, errors.ExperimentAborted, errors.FidelityMissed]
)
def test_an_experiment_error_keeps_the_recording(error):
    """What was recorded until then travels on the exception, whose message stays as given."""
    recording = object()
    raised = error("event 'cpu-0' died", recording)
    assert raised.recording is recording
    assert str(raised) == "event 'cpu-0' died"


def test_an_experiment_error_without_recording_holds_none():
    """An experiment that failed before anything was measured carries None."""
    assert errors.ExperimentFailed("no load host").recording is None
