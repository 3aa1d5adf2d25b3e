"""Opening folders of models that transformers does not have.

After `import ontogeny.architectures.auto`, `AutoModelForCausalLM.from_pretrained(folder)` opens them like any other.
"""

from __future__ import annotations


def register() -> None:
    """Tells transformers' Auto classes of our models; again does nothing."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

    from ontogeny.architectures.models.linear import LinearConfig, LinearForCausalLM, LinearModel
    from ontogeny.architectures.models.lstm import LSTMConfig, LSTMForCausalLM, LSTMModel
    from ontogeny.architectures.models.structformer import (
        StructFormerConfig,
        StructFormerForCausalLM,
        StructFormerForMaskedLM,
        StructFormerModel,
    )
    from ontogeny.architectures.models.xlstm import XLSTMConfig, XLSTMForCausalLM, XLSTMModel
    from ontogeny.architectures.over_bigrams import OverBigrams, OverBigramsConfig

    for config, body, model in (
        (LSTMConfig, LSTMModel, LSTMForCausalLM),
        (LinearConfig, LinearModel, LinearForCausalLM),
        (XLSTMConfig, XLSTMModel, XLSTMForCausalLM),
        (StructFormerConfig, StructFormerModel, StructFormerForCausalLM),
    ):
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, body, exist_ok=True)
        AutoModelForCausalLM.register(config, model, exist_ok=True)
    AutoModelForMaskedLM.register(StructFormerConfig, StructFormerForMaskedLM, exist_ok=True)
    AutoConfig.register(OverBigramsConfig.model_type, OverBigramsConfig, exist_ok=True)  # a network over bigrams has no body alone
    AutoModelForCausalLM.register(OverBigramsConfig, OverBigrams, exist_ok=True)


register()
