"""Shedding: past its capacity a process serves what it can, the important first, and refuses the rest. *Selective*."""

from holdfast.parts.shedding.gate import Entrant, Gate, Principal
from holdfast.parts.shedding.layer import layer, ticket_of
from holdfast.parts.shedding.refusals import REFUSALS, refusal
from holdfast.parts.shedding.settings import SheddingSettings

__all__ = [
    "REFUSALS",
    "Entrant",
    "Gate",
    "Principal",
    "SheddingSettings",
    "layer",
    "refusal",
    "ticket_of",
]
