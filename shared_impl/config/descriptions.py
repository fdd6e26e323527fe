"""What every field of a configuration does: printed by ``config --explain`` and docs/configuration.md."""

from __future__ import annotations

# A field whose systems share a name means the same in all of them.
DESCRIPTIONS = {
    "model.system": "`specgan`, `dcgan`, `upsample_dcgan`, `soundgan` or `conditional_dcgan`",
    "model.nz": "size of the latent",
    "model.nc": "channels of the images; spectrograms have 1",
    "model.init": "initial kernels: `normal` is N(0, 0.02), `framework` torch's default, U(±1/√fan-in)",
    "model.ngf": "width of the generator: channels of the layer next to the image",
    "model.ndf": "width of the discriminator: channels of the layer next to the image",
    "model.dim": "width of both networks: channels of the layers next to the image",
    "model.kernel_len": "side of the kernels, 3 to 7",
    "model.use_batchnorm": "batch normalisation in both networks",
    "model.upsample": (
        "how images are enlarged: `specgan` `zeros` (transposed convolution), `nearest`, `linear`, `cubic`; "
        "`upsample_dcgan` `nearest`, `bilinear`"
    ),
    "model.padding": "torch only: `same` as Keras pads, or `symmetric`",
    "model.momentum": "weight of the *new* running statistics (torch's convention)",
    "model.dropout": "share of channels that each of D's dropout layers drops",
    "model.output": "what D gives: `probability` (for `loss.kind=bce`) or `logit`",
    "model.image_size": "side of the output; depth follows it. 64 to 512, and 32 to 256",
    "model.patch": "six convolutions only, so that D scores overlapping patches of larger images",
    "model.classes": "number of classes",
    "model.embedding": "size of the class's embedding in G, and in D where `label` is `projected` or `replicated`",
    "model.label": (
        "how D gets the class: an embedding as large as the image (`map`), one projected to that size "
        "(`projected`) or repeated at every pixel (`replicated`), or none, D predicting it (`auxiliary`, "
        "AC-GAN)"
    ),
    "model.attention_at": "sizes in pixels at which G has self-attention",
    "model.attention_d": "sizes in pixels at which D has self-attention",
    "model.batchnorm_d": "batch normalisation in D",
    "model.spectral_norm_g": "spectral normalisation in G",
    "model.scales": "number of discriminators: for the image, half of it, a quarter",
    "model.growing": "sizes at which the networks are trained first",
    "data.source": (
        "where examples come from: `digits`, `drums[:FOLDER]`, `images:FOLDER`, `audio:FOLDER`, `csv:FILE` or"
        " `tfds:NAME`"
    ),
    "data.strict": "a broken file ends the run instead of being skipped and counted",
    "data.workers": "decoding processes; 0: threads of the training process",
    "data.prefetch": "batches prepared ahead",
    "data.resize": "Pillow's filter for images: `bilinear`, `bicubic`, `lanczos` or `box`",
    "data.sample_rate": "Hz to which sound is converted; also that of generated wavs",
    "data.overlap": "share by which consecutive slices of a sound file overlap",
    "data.first_slice": "only the first slice of each sound file, zero-padded",
    "data.pad_end": "zero-pad the last slice instead of dropping it",
    "data.random_offset": "move each slice by a random offset of up to its length whenever it is shown",
    "data.moments": "file of the command `moments`; without it they are measured before training",
    "data.label_columns": (
        "columns of a `csv` (or features of a `tfds` set) that give the class, several joined by `/`; empty: "
        "the column after the path, or `label`"
    ),
    "data.balance": "show every class as often as the largest one",
    "data.flip": "mirror each image at random: `none`, `horizontal`, `vertical` or `both`",
    "data.rotate": "turn each image by up to so many degrees either way; edge pixels are repeated outwards",
    "data.jitter": "multiply brightness, contrast and saturation by 1 ± up to this",
    "loss.kind": ("`wgan-gp`, `wgan`, `lsgan`, `dcgan` (cross-entropy of logits), `bce` (of probabilities) or `hinge`"),
    "loss.penalty_weight": "`wgan-gp`: weight of the gradient penalty",
    "loss.clip": "`wgan`: every weight of D is clipped to ± this",
    "loss.label_smoothing": "`lsgan`, `dcgan`, `bce`: D's target for real images is 1 minus this",
    "loss.smooth_fakes": "D's target for fakes is `label_smoothing` instead of 0",
    "loss.d_scale": "`lsgan`, `dcgan`, `bce`: weight of each half of D's loss",
    "loss.auxiliary_weight": (
        "`model.label=auxiliary`: weight of the classification loss, for D on real and fake images, and for G"
    ),
    "loss.perceptual_weight": (
        "weight in G's loss of the mean distance of VGG19's features between fakes and real images"
    ),
    "loss.texture_weight": "weight in G's loss of the mean distance of the features' Gram matrices",
    "loss.features": "file of VGG19's weights for the perceptual losses, Keras's or torch's",
    "optimizer.kind": "`adam` or `rmsprop`, in both frameworks with TF 1's formulas",
    "optimizer.lr": "learning rate of both networks",
    "optimizer.lr_g": "learning rate of G alone",
    "optimizer.lr_d": "learning rate of D alone",
    "optimizer.beta1": "`adam`: decay of the first moment",
    "optimizer.beta2": "`adam`: decay of the second moment",
    "optimizer.epsilon": "1e-8 of `adam`, 1e-10 of `rmsprop`",
    "optimizer.epsilon_place": (
        "`adam`: `tensorflow` adds epsilon to the uncorrected root, `torch` to the corrected one"
    ),
    "optimizer.decay": "`rmsprop`: decay of the mean square",
    "optimizer.initial_accumulator": "`rmsprop`: first value of the mean square (TF 1 starts at one)",
    "optimizer.schedule": "`fixed`, `linear` or `cosine` over the whole run",
    "optimizer.final_lr": "learning rate of `linear` and `cosine` at the last step",
    "optimizer.clip_norm": "limit of the norm of each network's whole gradient",
    "training.steps": "length of the run in steps",
    "training.epochs": "length of the run in passes over the data; give this or `steps`",
    "training.batch_size": "real images of an update, over all devices together",
    "training.seed": "seed of everything random",
    "training.d_updates": "updates of D in a step",
    "training.reuse_fakes": "G learns from the fakes that D was just given (needs `d_updates=1`)",
    "training.accumulation": "portions of a batch whose gradients are averaged, to save memory",
    "training.instance_noise": "deviation of Gaussian noise on every image that D is given",
    "training.ema": "decay of a moving average of G, which then makes the samples; such as 0.999",
    "training.precision": "`float32`, `bfloat16` (mixed) or `float64`",
    "training.compile": "torch.compile (not through a gradient penalty) or XLA: for GPUs; slower on processors",
    "training.latents": "`uniform` U(-1, 1) or `normal`",
    "training.stage_steps": "`model.growing`: steps of each stage before the last",
    "training.stage_batches": "`model.growing`: batch sizes of these stages; empty: `batch_size`",
    "distribution.strategy": (
        "`one` device, `mirrored` (all of one process), `multi_worker` (several processes) or `auto`: as "
        "started, on all visible GPUs"
    ),
    "distribution.devices": "`auto`, `cpu`, `gpu`, or a number of each machine: `cpu:2`, `gpu:4`",
    "distribution.sync_batchnorm": "batch statistics of all devices' examples",
    "distribution.timeout": "seconds that a worker waits for the others",
    "runs.folder": "where runs are kept",
    "runs.log_every": "interval of the metrics",
    "runs.sample_every": "interval of sample grids and previews",
    "runs.checkpoint_every": "interval of checkpoints",
    "runs.keep": "latest checkpoints kept, beside the best",
    "runs.samples": "images of a sample grid",
    "runs.previews": "clips of an audio preview",
    "runs.tensorboard": "write TensorBoard records",
    "runs.monitor": (
        "what the best checkpoint has least of: `sample_distance` (from real images), or a logged metric such"
        " as `g_loss`"
    ),
    "runs.patience": "steps without a better checkpoint after which the run ends early",
}
