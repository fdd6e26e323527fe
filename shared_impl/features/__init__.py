"""VGG19, whose features the perceptual losses compare: its layers and the files that hold its weights."""
