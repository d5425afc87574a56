"""The activation functions a cfg may name, in Darknet's words for them."""

from __future__ import annotations

from darkfuse.model.cfg import Section

# In the order of `enum df_act` in kernels/df_kernels.h, so that the position is the kernels' code.
ACTIVATIONS = (
    "linear", "leaky", "relu", "logistic", "mish", "swish", "relu6", "tanh", "elu", "loggy", "selu", "gelu",
    "relie", "ramp", "plse", "stair", "hardtan", "lhtan", "hard_mish",
)
# Other words for the same function.
SYNONYMS = {"silu": "swish", "revleaky": "leaky"}


def activation(section: Section, default: str) -> str:
    """Read `activation=`; an unknown word is refused, where Darknet would fall back to relu."""
    word = section.text("activation", default)
    name = SYNONYMS.get(word, word)
    if name not in ACTIVATIONS:
        section.fail(f"activation={word} is not one of {', '.join(ACTIVATIONS)}", "activation")
    return name
