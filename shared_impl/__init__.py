"""What both implementations stand on. Imports neither TensorFlow, Keras nor torch."""
