"""The activation functions a cfg may name, by Darknet's words for them."""

from __future__ import annotations

from darkfuse.model.cfg import Section

ACTIVATIONS = (
    "linear", "leaky", "relu", "logistic", "mish", "swish",
    "relu6", "tanh", "elu", "selu", "hardtan", "loggy", "relie", "ramp",
)


def activation(section: Section, default: str) -> str:
    """Read `activation=`; an unknown word is refused, where Darknet would fall back to relu."""
    name = section.text("activation", default)
    if name not in ACTIVATIONS:
        section.fail(f"activation={name} is not one of {', '.join(ACTIVATIONS)}", "activation")
    return name
