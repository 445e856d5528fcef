"""The predictive twin: what would this machine do under a load that it has not seen?

demand       what an experiment asks for, second by second observation  what was recorded of one
run, on the same seconds parameters   the grey box's parameters: names, units, bounds, meaning
kernel       the recursions by which the kernel averages load and pressure simulate     the grey
box: demand in, every modelled column out, many parameter sets and plans at once fit
parameters from recorded runs, by the error of the free run; what the data does not tell uncertainty
what a fit leaves open: plausible parameters, noise, and bands calibrated by runs of their own
domain       what a model was fitted to, and how a plan lies beyond it overload     conditions such
as ``memory_percent > 80 for 5 s``, and when they come true model_file   the model as JSON, checked
field by field twin         Twin and Prediction: fit, predict, save, load virtual      the rows and
annotations of a recording that never was splits, baselines, scores, overload_scores, evaluate
how a twin is judged drift        whether this is still the machine that was fitted suggest
which experiments would tell most
"""
