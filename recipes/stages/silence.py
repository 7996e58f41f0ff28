"""A silent T5 encoder: zeros, as `StableDiffusion3Pipeline` uses in place of a missing one.

The pipeline loads without further arguments only if all three text encoders are present.
"""

from transformers import T5Config, T5EncoderModel, T5TokenizerFast


def build_silent_t5(width: int) -> tuple[T5TokenizerFast, T5EncoderModel]:
    """A tokenizer without words, and an encoder whose states, `width` wide, are exactly zero."""
    tokenizer = T5TokenizerFast(
        vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -1.0), ("▁", -2.0)], extra_ids=0, model_max_length=256
    )
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=8,
        d_ff=8,
        num_layers=1,
        num_heads=1,
        feed_forward_proj="gated-gelu",
    )
    encoder = T5EncoderModel(config)
    encoder.encoder.final_layer_norm.weight.detach().zero_()
    return tokenizer, encoder.eval()
