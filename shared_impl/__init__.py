"""What both implementations stand on: no TensorFlow, no Keras, no torch.

Each sub-package imports only those before it; ``files``, ``draws`` and ``allocation`` import none of them:

config    the sections of a configuration, presets, overrides, differences
data      sources of images and sound, the stream of batches, classes, augmentation, moments of spectrograms
features  VGG19's layers and the files of its weights, for the perceptual losses
sampling  inputs of a generator, samples, pictures, evaluation
storage   what a run leaves on disk: folder, checkpoints, metrics, TensorBoard records, experiments log
training  a run: session, logger, monitor, schedules, growing, initial weights, workers of several processes
cli       the commands train, generate, moments, evaluate
"""
