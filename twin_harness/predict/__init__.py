"""The predictive twin: what would this machine do under a load that it has not seen?

Enter by ``twin`` (the face) and ``fitted_model`` (what the rest of the room takes). The grey box is
``demand``, ``parameters``, ``kernel`` and ``simulate``; ``observation`` holds the runs, ``fit`` and
``uncertainty`` what is learned from them, ``evaluate`` how good it is.
"""
