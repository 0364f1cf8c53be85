"""Golden numbers of TAO, used by several tests."""

import numpy as np

SCALES = [64.0, 128.0, 256.0]
RATIOS = [1.0, 0.5, 2.0]
HEIGHT, WIDTH = 384, 1280
ROWS, COLUMNS = 24, 80
ANCHORS_INSIDE = 9160

# (width, height) px
ANCHOR_SIZES = np.array(
    [
        (64, 64),
        (45.254833, 90.50967),
        (90.50967, 45.254833),
        (128, 128),
        (90.50967, 181.01933),
        (181.01933, 90.50967),
        (256, 256),
        (181.01933, 362.03867),
        (362.03867, 181.01933),
    ]
)

# Small objects, yxyx (the facts list xyxy); thresholds 0.7 and 0.3: every box needs the rescue rule.
SMALL_BOXES = np.array(
    [
        [599.41, 156.40, 629.75, 189.25],
        [387.63, 181.54, 423.81, 203.12],
        [676.60, 163.95, 688.98, 193.93],
        [503.89, 169.71, 590.61, 190.13],
        [511.35, 174.96, 527.81, 187.45],
        [532.37, 176.35, 542.68, 185.27],
        [559.62, 175.83, 575.40, 183.15],
    ]
)[:, [1, 0, 3, 2]]
SMALL_RESCUERS = [7533, 8136, 7569, 7508, 7479, 7488, 6786]
SMALL_OVERLAPS = [0.251091, 0.198704, 0.098109, 0.423344, 0.055748, 0.026555, 0.033044]
SMALL_VALID = 9155
# True box -> code with inclusive widths.
SMALL_CODES = {
    0: [0.22431, 0.07423, -0.72949, -0.65245],
    3: [-0.05191, 0.25770, -0.04229, -0.76984],
    6: [0.23862, 0.42292, -1.35420, -2.05573],
}

# Large objects, yxyx; thresholds 0.5 and 0.0: most boxes pass the threshold, three are rescued.
LARGE_BOXES = np.array(
    [
        [141, 1244, 382, 1278],
        [151, 849, 305, 896],
        [163, 1191, 326, 1270],
        [175, 133, 284, 180],
        [170, 213, 288, 255],
        [208, 86, 261, 140],
        [170, 458, 235, 497],
        [158, 534, 215, 607],
        [156, 856, 282, 901],
        [176, 608, 219, 652],
    ],
    np.float64,
)
LARGE_RESCUES = {0: 9343, 8: 9847, 9: 8991}
LARGE_POSITIVE = 43
LARGE_VALID = 4493

# RoI targets, yxyx; classes 0..2, background 3; thresholds 0.5 and 0.0; weights 10, 10, 5, 5.
ROI_GT = np.array([[726, 148, 826, 319], [389, 185, 425, 207], [679, 167, 692, 198]], np.float64)[
    :, [1, 0, 3, 2]
]
ROI_GT_CLASSES = np.array([1, 0, 2], np.int32)
ROIS = np.array([[730, 150, 830, 320], [390, 190, 430, 210], [700, 200, 750, 250]], np.float64)[
    :, [1, 0, 3, 2]
]
ROI_OVERLAPS = [0.90839, 0.609023, 0.0]
ROI_2_WITH_GT_0 = 0.068189
ROI_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
ROI_CODES = np.array([[-0.39604, -0.087719, 0.0, 0.029154], [-0.731707, -1.904762, -0.513271, 0.454859]])
