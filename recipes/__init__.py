"""The training recipe of the demo checkpoint: text encoder, VAE, UNet, each resumable at any kill."""
