"""`hf_audio`: sound through a pretrained audio model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ter_fast.errors import ModelError
from ter_fast.experts.encoders.pretrained.base import PretrainedEncoder
from ter_fast.experts.encoders.pretrained.loading import AUDIO
from ter_fast.experts.encoders.pretrained.sound import sound_input
from ter_fast.experts.encoders.registry import register_encoder
from ter_fast.media.resampling import SAMPLE_RATE


@register_encoder("hf_audio")
class PretrainedAudio(PretrainedEncoder):
    """An audio model of Hugging Face transformers: wav2vec 2.0, HuBERT, WavLM, w2v-BERT, Whisper's encoder or AST.

    Sound is prepared as the model's own processor says. A batch gives each row what it would get
    alone: models that would hear the padding see rows of equal length at a time.

    Args:
        name: Folder, or name on the hub, such as "facebook/wav2vec2-base".
        revision: Branch, tag or commit on the hub.
        frozen: The model learns nothing; False fine-tunes all of it.
        trainable_layers: Of a frozen model, layers from the top that are fine-tuned all the same.
        layers: "last" takes the last layer; "weighted" sums all of them by learned weights.
        width: Features of the trainable layer on top.
        deviation: Pool the deviation over time beside the mean.
        dropout: Probability of dropping a pooled feature in training.
        store_backbone: A saved model holds the model's weights, or only its name and commit.
        terms: Licence of the weights; None for what the model card names.
        backbone: What a saved model knows of it.

    Reference:
        Yang et al., "SUPERB: Speech processing universal performance benchmark", 2021, section 3
        (the weighted sum of layers).

    Example:
        >>> PretrainedAudio("./no-such-folder")
        Traceback (most recent call last):
        ter_fast.errors.ModelError: no model './no-such-folder': it is no folder here, ...
    """

    kind = AUDIO

    def __init__(
        self,
        name: str,
        revision: str | None = None,
        frozen: bool = True,
        trainable_layers: int = 0,
        layers: str = "last",
        width: int = 256,
        deviation: bool = True,
        dropout: float = 0.2,
        store_backbone: bool = True,
        terms: str | None = None,
        backbone: Mapping[str, Any] | None = None,
    ) -> None:
        if layers not in ("last", "weighted"):
            raise ModelError(f"layers is {layers!r}; expected last or weighted")
        super().__init__(
            name, revision, frozen, trainable_layers, width, deviation, dropout, store_backbone,
            terms, backbone,
        )  # fmt: skip
        self.sound = sound_input(name, self.described.processor, self.config)
        self.layer_weights: nn.Parameter | None = None
        if layers == "weighted":
            self.layer_weights = nn.Parameter(
                torch.zeros(self.config.num_hidden_layers + 1, dtype=torch.float32)
            )

    def _features(self) -> int:
        return int(self.config.hidden_size)

    def forward(self, audio: Tensor, lengths: Tensor) -> Tensor:
        """Encode `(B, samples)` waveforms at 16 kHz with `(B,)` valid samples to `(B, out_features)`.

        Raises:
            ModelError: Sound longer than the model reads.
        """
        sound = self.sound
        if sound.limit is not None and audio.shape[1] > sound.limit:
            raise ModelError(
                f"{self.name} reads {sound.limit / SAMPLE_RATE:g} s of sound at once, not "
                f"{audio.shape[1] / SAMPLE_RATE:g} s; cut clips in shorter windows (window_seconds)"
            )
        audio = F.pad(audio, (0, max(0, sound.minimum - audio.shape[1])))
        heard = lengths.clamp_min(sound.minimum)
        features = self._states(audio, heard) if sound.masked else self._by_length(audio, heard)
        steps = sound.steps(self.backbone, heard)
        valid = torch.arange(features.shape[1], device=audio.device) < steps[:, None]
        return self.head(features, valid & (lengths > 0)[:, None])

    def _by_length(self, audio: Tensor, lengths: Tensor) -> Tensor:
        """Run rows of equal length together, and put the results in the rows' order."""
        parts, rows = [], []
        for length in torch.unique(lengths).tolist():
            chosen = (lengths == length).nonzero()[:, 0]
            parts.append(self._states(audio[chosen, :length], lengths[chosen]))
            rows.append(chosen)
        longest = max(part.shape[1] for part in parts)
        padded = [F.pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts]
        return torch.cat(padded)[torch.cat(rows).argsort()]

    def _states(self, audio: Tensor, lengths: Tensor) -> Tensor:
        """Return the model's features `(B, T, D)`; one step for models with a token of their own."""
        with warnings.catch_warnings():
            # WavLM hands torch a mask of booleans beside one of numbers, which torch only complains of.
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            output = self.backbone(
                **self.sound.inputs(audio, lengths),
                output_hidden_states=self.layer_weights is not None,
            )
        token = self.config.model_type == "audio-spectrogram-transformer"
        if self.layer_weights is None:
            last: Tensor = output.pooler_output[:, None] if token else output.last_hidden_state
            return last
        weights = torch.softmax(self.layer_weights, 0)
        states = [state.float() for state in output.hidden_states]
        mixed = torch.stack([w * s for w, s in zip(weights, states, strict=True)]).sum(0)
        # This transformer has two tokens, and its own feature is their mean.
        return mixed[:, :2].mean(1, keepdim=True) if token else mixed
