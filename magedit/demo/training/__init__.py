"""The training recipe of the demo checkpoint: VAE, then text encoder, then UNet, each resumable at any kill."""
