"""The predictive twin: what would this machine do under a load that it has not seen?

demand       what an experiment asks for, second by second
observation  what was recorded of one run, on the same seconds
parameters   the grey box's parameters: names, units, bounds, meaning
kernel       the recursions by which the kernel averages load and pressure
simulate     the grey box: demand in, every modelled column out, many parameter sets and plans at once
fit          parameters from recorded runs, by the error of the free run; what the data does not tell
"""
