"""Data as NumPy arrays: sources, the file index, the stream of batches, augmentation, classes, spectrogram moments."""
