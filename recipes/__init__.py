"""How shipped data is made: the demo checkpoint's training recipe (text encoder, VAE, UNet), the prompts' lexicon."""
