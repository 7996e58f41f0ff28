"""Pictures and masks in pixels, with Pillow alone."""
