"""What machines carry, what an hour of audio costs, what breaks first: from measured numbers and prices."""

from eval.capacity.inputs import Assumptions, Gpu, Hosted, Inputs, Load, Machine, Measured, Prediction, read_inputs
from eval.capacity.model import (
    Demand,
    Limit,
    Scope,
    Site,
    cost_per_hour,
    demand_on,
    limits_of,
    live_demand,
    site_of,
    sustained,
)

__all__ = [
    "Assumptions",
    "Demand",
    "Gpu",
    "Hosted",
    "Inputs",
    "Limit",
    "Load",
    "Machine",
    "Measured",
    "Prediction",
    "Scope",
    "Site",
    "cost_per_hour",
    "demand_on",
    "limits_of",
    "live_demand",
    "read_inputs",
    "site_of",
    "sustained",
]
