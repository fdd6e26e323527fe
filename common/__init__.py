"""What both houses stand on; imports neither TensorFlow, Keras nor torch."""
