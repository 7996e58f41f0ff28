"""The training recipes of the demo checkpoints: text encoders, VAE, UNet or transformer, each resumable after a
kill."""
