"""The dialects of Darknet: every difference between the programs that run `.cfg` files, in one place.

Three programs read the format and do not answer alike: the original Darknet (`darknet`), AlexeyAB's fork that
YOLOv4 and later were trained with (`alexeyab`), and OpenCV's importer (`opencv`). A `Dialect` holds what one
of them does; everything else in darkfuse asks it, and nobody else tells the programs apart.

Sources: what the original's and the fork's own programs answer (reference maps and boxes in the tests), and
what `cv2.dnn` does.
"""

from __future__ import annotations

from dataclasses import replace

from darkfuse.errors import DarkfuseError
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Cfg, Section

NAMES = ("auto", "darknet", "alexeyab", "opencv")
NMS_KINDS = ("plain", "greedynms", "diounms", "cornersnms")


@dataclass(frozen=True)
class Dialect:
    """What one program does with a network.

    Attributes
    ----------
    name : str
        'darknet', 'alexeyab' or 'opencv'.
    why : str
        What it was chosen for, in words.
    epsilon : float
        Batch normalisation divides by sqrt(variance) + epsilon, or with `epsilon_in_root` by
        sqrt(variance + epsilon).
    epsilon_in_root : bool
    letterbox : bool
        Pictures keep their aspect inside the network (the rest is grey); otherwise they are stretched.
    classify : str
        How a classifier's pictures get its shape: 'crop', 'letterbox' or 'stretch'.
    resize : str
        How a picture is decoded and scaled to the network. 'corners': a JPEG to the pixels stb_image makes of
        it; bilinear in float32, the corner pixels of both on each other (both Darknets). 'centres': a JPEG to
        libjpeg-turbo's pixels; bilinear between the middles of pixels, rounded to whole levels (`cv2.imread`
        and `cv2.resize`).
    thresh : float
        Score above which a box is reported when nothing else is asked for.
    nms : float
        Overlap above which the weaker of two boxes goes, likewise.
    nms_kinds : bool
        Whether `nms_kind=` of the detection layers is followed; otherwise overlap is plain IoU.
    region_nms : float
        IoU above which boxes of a [region] layer lose labels to each other before the best label is chosen; 0
        when they do not.
    valid : tuple of float
        Score and overlap, likewise, of `detector valid`, which writes boxes for a benchmark.
    batchnorm_biases : bool
        Whether a [batchnorm] section has biases in the weights file.
    one_label : bool
        A box has the best of its classes only; otherwise every class above the threshold.
    """

    name: str
    why: str
    epsilon: float
    epsilon_in_root: bool
    letterbox: bool
    classify: str
    resize: str
    thresh: float
    nms: float
    nms_kinds: bool
    region_nms: float
    one_label: bool
    batchnorm_biases: bool
    valid: tuple[float, float]

    @property
    def epsilons(self) -> tuple[float, float]:
        """Batch normalisation divides by sqrt(variance + the first) + the second."""
        return (self.epsilon, 0.0) if self.epsilon_in_root else (0.0, self.epsilon)

    def lines(self) -> list[str]:
        """Which it is and why, and what follows, for people to read."""
        shape = "letterboxed" if self.letterbox else "stretched"
        root = f"variance + {self.epsilon:g})" if self.epsilon_in_root else f"variance) + {self.epsilon:g}"
        return [f"dialect {self.name}: {self.why}",
                f"  batch norm over sqrt({root}, pictures {shape}, "
                f"threshold {self.thresh:g}, NMS {self.nms:g} by {'nms_kind=' if self.nms_kinds else 'IoU'}; "
                f"{'one label' if self.one_label else 'every label above the threshold'} a box"]


DARKNET = Dialect("darknet", "the cfg has no key or section of another program", 1e-6, False, True, "crop",
                  "corners", 0.5, 0.45, False, 0.0, False, False, (0.005, 0.45))
ALEXEYAB = Dialect("alexeyab", "", 1e-5, True, False, "crop", "corners", 0.25, 0.45, True, 0.0, False, True,
                   (0.001, 0.6))
OPENCV = Dialect("opencv", "", 1e-6, True, False, "stretch", "centres", 0.5, 0.4, False, 0.4, True, True,
                 (0.001, 0.6))
_BY_NAME = {dialect.name: dialect for dialect in (DARKNET, ALEXEYAB, OPENCV)}

# What only AlexeyAB's fork reads: sections, keys of sections, and activations. A key the original reads too
# says nothing, whoever introduced it.
_SECTIONS = frozenset((
    "Gaussian_yolo", "contrastive", "conv_lstm", "empty", "history", "local_avgpool", "localavgpool",
    "reorg3d", "reorg_old", "sam", "scale_channels", "silence",
))
_WINDOW = ("antialiasing", "stride_x", "stride_y")
_DETECTION = (
    "beta_nms", "cls_normalizer", "counters_per_class", "delta_normalizer", "dets_for_show", "dets_for_track",
    "embedding_layer", "focal_loss", "iou_loss", "iou_normalizer", "iou_thresh", "iou_thresh_kind",
    "label_smooth_eps", "max_delta", "new_coords", "nms_kind", "obj_normalizer", "objectness_smooth",
    "scale_x_y", "show_details", "sim_thresh", "track_ciou_norm", "track_history_size", "yolo_point",
)
_KEYS = {
    "net": frozenset((
        "adversarial", "adversarial_lr", "attention", "augment_speed", "badlabels_rejection_percentage",
        "blur", "contrastive", "contrastive_color", "contrastive_jit_flip", "cutmix", "dynamic_minibatch",
        "ema_alpha",
        "equidistant_point", "flip", "gaussian_noise", "init_sequential_subdivisions", "label_smooth_eps",
        "letter_box", "loss_scale", "max_chart_loss", "mixup", "mosaic", "mosaic_bound",
        "num_sigmas_reject_badlabels", "optimized_memory", "resize_step", "seq_scales",
        "sequential_subdivisions", "sgdr_cycle", "sgdr_mult", "track", "try_fix_nan", "unsupervised",
        "use_cuda_graph", "weights_reject_freq", "workspace_size_limit_MB",
    )),
    "convolutional": frozenset((
        *_WINDOW, "assisted_excitation", "coordconv", "deform", "dilation", "grad_centr", "rotate",
        "share_index", "stretch", "stretch_sway", "sway", "use_bin_output",
    )),
    "maxpool": frozenset((*_WINDOW, "maxpool_depth", "out_channels")),
    "route": frozenset(("group_id", "groups", "stream")),
    "shortcut": frozenset(("weights_normalization", "weights_type")),
    "dropout": frozenset(("dropblock", "dropblock_size_abs", "dropblock_size_rel")),
    "yolo": frozenset(_DETECTION),
    "region": frozenset(("focal_loss",)),
}
_ALIASES = {"network": "net", "conv": "convolutional", "max": "maxpool"}
_ACTIVATIONS = frozenset(("hard_mish", "mish", "norm_chan", "norm_chan_softmax", "norm_chan_softmax_maxval",
                          "relu6", "silu", "swish"))


def dialect_of(cfg: Cfg, wanted: str = "auto") -> Dialect:
    """The dialect a network is to be run in.

    Parameters
    ----------
    cfg : Cfg
    wanted : str
        One of `NAMES`. 'auto' is `alexeyab` when the cfg has anything only that fork reads, else `darknet`.

    Raises
    ------
    DarkfuseError
        There is no such dialect.
    """
    if wanted not in NAMES:
        raise DarkfuseError(f"there is no dialect {wanted!r}; there are {', '.join(NAMES)}")
    if wanted != "auto":
        dialect = replace(_BY_NAME[wanted], why="asked for")
    else:
        sign = _sign_of_the_fork(cfg)
        if not sign:
            return DARKNET
        dialect = replace(ALEXEYAB, why=sign + " is read by AlexeyAB's Darknet only")
    if dialect.name == "alexeyab" and cfg.net.integer("letter_box", 0, 0, 1):
        dialect = replace(dialect, letterbox=True)
    return dialect


def _sign_of_the_fork(cfg: Cfg) -> str:
    """The first thing in the cfg that the original Darknet would not understand, and its line."""
    for section in (cfg.net, *cfg.layers):
        if section.kind in _SECTIONS:
            return f"[{section.kind}] in line {section.line}"
        sign = _key_of_the_fork(section)
        if sign:
            return sign
    return ""


def _key_of_the_fork(section: Section) -> str:
    theirs = _KEYS.get(_ALIASES.get(section.kind, section.kind), frozenset())
    for entry in section.entries:
        if entry.key in theirs:
            return f"{entry.key}= in line {entry.line}"
        if entry.key == "activation" and entry.value in _ACTIVATIONS:
            return f"activation={entry.value} in line {entry.line}"
        if section.kind == "shortcut" and entry.key == "from" and "," in entry.value:
            return f"from= with several layers in line {entry.line}"
    return ""
