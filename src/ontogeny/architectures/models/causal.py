"""What our own causal models have in common: embeddings, a body, a head, and the outputs that transformers' models give."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from ontogeny.architectures.models.state import RecurrentState, join


class Body(PreTrainedModel):  # type: ignore[misc]
    """Embeddings and whatever turns them into states; a subclass says `states`."""

    base_model_prefix = "model"  # so that a body opens from the folder of a whole model
    one_length: ClassVar[bool] = False  # whether its state depends on how many tokens there were, so that rows must agree in it
    shares: ClassVar[bool] = False  # whether scoring gains by reading once what sentences share and going on from its state

    def __init__(self, config: PreTrainedConfig, width: int):
        super().__init__(config)
        self.embeddings: nn.Module = nn.Embedding(config.vocab_size, width)

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Puts others in their place."""
        self.embeddings = value

    def states(self, embedded: Tensor, before: RecurrentState | None = None, after: RecurrentState | None = None) -> Tensor:
        """States [B, T, width of the head] from embeddings [B, T, width]; each depends on those up to it.

        before: what was kept of the tokens before these; None at the beginning of a text
        after: gets what is to be kept; None where nothing is
        """
        raise NotImplementedError

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: RecurrentState | None = None,
        use_cache: bool | None = None,
        **told: Any,
    ) -> BaseModelOutputWithPast:
        """The last hidden states, and with `use_cache` the RecurrentState to go on from.

        Raises ValueError for a mask that hides anything but the beginning or the end of a row.
        """
        padded = padding(attention_mask, input_ids.shape[1])
        if padded is not None and (use_cache or bool((padded[:, :1] == 0).any())):
            return self._by_length(input_ids, padded, past_key_values, use_cache)
        after = RecurrentState(seen=input_ids.shape[1] + (past_key_values.seen if past_key_values else 0)) if use_cache else None
        states = self.states(self.embeddings(input_ids), past_key_values, after)
        return BaseModelOutputWithPast(last_hidden_state=states, past_key_values=after)

    def carry(self, ids: Tensor, before: RecurrentState | None, keep: bool) -> tuple[Tensor, RecurrentState]:
        """States [B, T, width] of tokens after what was `before`, and to `keep` the one after them, else an empty one."""
        output = self(ids, past_key_values=before, use_cache=keep)
        return output.last_hidden_state, output.past_key_values or RecurrentState()

    def _by_length(
        self, ids: Tensor, mask: Tensor, before: RecurrentState | None, use_cache: bool | None
    ) -> BaseModelOutputWithPast:
        """Rows whose tokens stand in the same places go together, so that no padding is read; its states are zeros."""
        if self.one_length:
            raise ValueError("this model has weights for each position: it cannot follow padding on the left, nor keep any")
        places, kind = torch.unique(mask, dim=0, return_inverse=True)
        rows, found = [torch.nonzero(kind == i)[:, 0] for i in range(len(places))], []
        for which, shown in zip(rows, places.bool(), strict=True):
            if not shown.any():
                raise ValueError("the attention mask hides all of a row")
            past = before.select(which) if before is not None else None
            found.append(self(ids[which][:, shown], past_key_values=past, use_cache=use_cache))
        states = found[0].last_hidden_state.new_zeros(*ids.shape, found[0].last_hidden_state.shape[-1])
        for which, shown, output in zip(rows, places.bool(), found, strict=True):
            states[which[:, None], torch.nonzero(shown)[:, 0]] = output.last_hidden_state
        after = None
        if use_cache:
            after = join([output.past_key_values for output in found]).select(torch.cat(rows).argsort())
            after.seen = ids.shape[1] + (before.seen if before else 0)
        return BaseModelOutputWithPast(last_hidden_state=states, past_key_values=after)


class CausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """A body and a head; a subclass names the class of its `body`."""

    base_model_prefix = "model"
    body: ClassVar[type[Body]]
    _is_stateful = True  # what it keeps cannot be cut back to fewer tokens
    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "model.embeddings.weight"}

    def __init__(self, config: PreTrainedConfig):
        super().__init__(config)
        self.model = self.body(config)  # type: ignore[call-arg]
        self.lm_head: nn.Module = nn.Linear(config.hidden_size, config.vocab_size, bias=getattr(config, "head_bias", False))
        self.post_init()

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # that one is for keys and values: `generate` is to take what the first pass returns

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings."""
        return self.model.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Puts others in their place."""
        self.model.embeddings = value

    def get_output_embeddings(self) -> nn.Module:
        """The head."""
        return self.lm_head

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Puts another in its place."""
        self.lm_head = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: RecurrentState | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **told: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [B, T, vocabulary] of the token after each, and with `labels` [B, T] the mean loss of predicting them.

        past_key_values, use_cache: the RecurrentState of the tokens before these, and whether one is returned
        logits_to_keep: of the last so many places alone; 0 for all
        """
        output = self.model(input_ids, attention_mask, past_key_values, use_cache)
        logits = self.lm_head(output.last_hidden_state[:, -logits_to_keep:])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=output.past_key_values)


def padding(mask: Tensor | None, length: int) -> Tensor | None:
    """The mask of the last `length` tokens, None if it hides none.

    Raises ValueError for a mask that a model which reads from left to right cannot follow.  What comes after a token never changes
    its state, so padding at the end of a row may be read unless the row is to go on.
    """
    if mask is None:
        return None
    if mask.dim() == 2:
        shown = mask[:, -length:].long()
        if bool(shown.all()):
            return None
        if bool((shown.diff(dim=1) != 0).sum(1).le(1).all()):
            return shown
    raise ValueError(
        "this model reads each row from its first token on: it follows an attention mask that hides the beginning or the end of a "
        "row, and none of trees"
    )


def tied_to_width(config: Any, width: int, head: int) -> None:
    """Raises ValueError if embeddings and head are to be one matrix and have two widths."""
    if config.tie_word_embeddings and width != head:
        raise ValueError(f"tied embeddings need one width, here are {width} and {head}; set tie_word_embeddings: false")
