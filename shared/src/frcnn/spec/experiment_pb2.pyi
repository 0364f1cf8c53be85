from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Experiment(_message.Message):
    __slots__ = ("random_seed", "verbose", "model_config", "training_config", "dataset_config", "enc_key", "augmentation_config", "inference_config", "evaluation_config")
    RANDOM_SEED_FIELD_NUMBER: _ClassVar[int]
    VERBOSE_FIELD_NUMBER: _ClassVar[int]
    MODEL_CONFIG_FIELD_NUMBER: _ClassVar[int]
    TRAINING_CONFIG_FIELD_NUMBER: _ClassVar[int]
    DATASET_CONFIG_FIELD_NUMBER: _ClassVar[int]
    ENC_KEY_FIELD_NUMBER: _ClassVar[int]
    AUGMENTATION_CONFIG_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_CONFIG_FIELD_NUMBER: _ClassVar[int]
    random_seed: int
    verbose: bool
    model_config: ModelConfig
    training_config: TrainingConfig
    dataset_config: DatasetConfig
    enc_key: str
    augmentation_config: AugmentationConfig
    inference_config: InferenceConfig
    evaluation_config: EvaluationConfig
    def __init__(self, random_seed: _Optional[int] = ..., verbose: _Optional[bool] = ..., model_config: _Optional[_Union[ModelConfig, _Mapping]] = ..., training_config: _Optional[_Union[TrainingConfig, _Mapping]] = ..., dataset_config: _Optional[_Union[DatasetConfig, _Mapping]] = ..., enc_key: _Optional[str] = ..., augmentation_config: _Optional[_Union[AugmentationConfig, _Mapping]] = ..., inference_config: _Optional[_Union[InferenceConfig, _Mapping]] = ..., evaluation_config: _Optional[_Union[EvaluationConfig, _Mapping]] = ...) -> None: ...

class DataSource(_message.Message):
    __slots__ = ("tfrecords_path", "image_directory_path", "source_weight")
    TFRECORDS_PATH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_DIRECTORY_PATH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    tfrecords_path: str
    image_directory_path: str
    source_weight: float
    def __init__(self, tfrecords_path: _Optional[str] = ..., image_directory_path: _Optional[str] = ..., source_weight: _Optional[float] = ...) -> None: ...

class DatasetConfig(_message.Message):
    __slots__ = ("data_sources", "image_extension", "target_class_mapping", "validation_fold", "validation_data_source", "dataloader_mode", "sampling_mode")
    class DATALOADER_MODE(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MULTISOURCE: _ClassVar[DatasetConfig.DATALOADER_MODE]
        LEGACY: _ClassVar[DatasetConfig.DATALOADER_MODE]
        DEFAULT: _ClassVar[DatasetConfig.DATALOADER_MODE]
    MULTISOURCE: DatasetConfig.DATALOADER_MODE
    LEGACY: DatasetConfig.DATALOADER_MODE
    DEFAULT: DatasetConfig.DATALOADER_MODE
    class SAMPLING_MODE(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        USER_DEFINED: _ClassVar[DatasetConfig.SAMPLING_MODE]
        PROPORTIONAL: _ClassVar[DatasetConfig.SAMPLING_MODE]
        UNIFORM: _ClassVar[DatasetConfig.SAMPLING_MODE]
    USER_DEFINED: DatasetConfig.SAMPLING_MODE
    PROPORTIONAL: DatasetConfig.SAMPLING_MODE
    UNIFORM: DatasetConfig.SAMPLING_MODE
    class TargetClassMappingEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DATA_SOURCES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_EXTENSION_FIELD_NUMBER: _ClassVar[int]
    TARGET_CLASS_MAPPING_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FOLD_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_DATA_SOURCE_FIELD_NUMBER: _ClassVar[int]
    DATALOADER_MODE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_MODE_FIELD_NUMBER: _ClassVar[int]
    data_sources: _containers.RepeatedCompositeFieldContainer[DataSource]
    image_extension: str
    target_class_mapping: _containers.ScalarMap[str, str]
    validation_fold: int
    validation_data_source: DataSource
    dataloader_mode: DatasetConfig.DATALOADER_MODE
    sampling_mode: DatasetConfig.SAMPLING_MODE
    def __init__(self, data_sources: _Optional[_Iterable[_Union[DataSource, _Mapping]]] = ..., image_extension: _Optional[str] = ..., target_class_mapping: _Optional[_Mapping[str, str]] = ..., validation_fold: _Optional[int] = ..., validation_data_source: _Optional[_Union[DataSource, _Mapping]] = ..., dataloader_mode: _Optional[_Union[DatasetConfig.DATALOADER_MODE, str]] = ..., sampling_mode: _Optional[_Union[DatasetConfig.SAMPLING_MODE, str]] = ...) -> None: ...

class AugmentationConfig(_message.Message):
    __slots__ = ("preprocessing", "spatial_augmentation", "color_augmentation")
    PREPROCESSING_FIELD_NUMBER: _ClassVar[int]
    SPATIAL_AUGMENTATION_FIELD_NUMBER: _ClassVar[int]
    COLOR_AUGMENTATION_FIELD_NUMBER: _ClassVar[int]
    preprocessing: Preprocessing
    spatial_augmentation: SpatialAugmentation
    color_augmentation: ColorAugmentation
    def __init__(self, preprocessing: _Optional[_Union[Preprocessing, _Mapping]] = ..., spatial_augmentation: _Optional[_Union[SpatialAugmentation, _Mapping]] = ..., color_augmentation: _Optional[_Union[ColorAugmentation, _Mapping]] = ...) -> None: ...

class Preprocessing(_message.Message):
    __slots__ = ("output_image_width", "output_image_height", "crop_left", "crop_top", "crop_right", "crop_bottom", "min_bbox_width", "min_bbox_height", "scale_width", "scale_height", "output_image_channel", "output_image_min", "output_image_max", "enable_auto_resize")
    OUTPUT_IMAGE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_IMAGE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CROP_LEFT_FIELD_NUMBER: _ClassVar[int]
    CROP_TOP_FIELD_NUMBER: _ClassVar[int]
    CROP_RIGHT_FIELD_NUMBER: _ClassVar[int]
    CROP_BOTTOM_FIELD_NUMBER: _ClassVar[int]
    MIN_BBOX_WIDTH_FIELD_NUMBER: _ClassVar[int]
    MIN_BBOX_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SCALE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    SCALE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_IMAGE_CHANNEL_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_IMAGE_MIN_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_IMAGE_MAX_FIELD_NUMBER: _ClassVar[int]
    ENABLE_AUTO_RESIZE_FIELD_NUMBER: _ClassVar[int]
    output_image_width: int
    output_image_height: int
    crop_left: int
    crop_top: int
    crop_right: int
    crop_bottom: int
    min_bbox_width: float
    min_bbox_height: float
    scale_width: float
    scale_height: float
    output_image_channel: int
    output_image_min: int
    output_image_max: int
    enable_auto_resize: bool
    def __init__(self, output_image_width: _Optional[int] = ..., output_image_height: _Optional[int] = ..., crop_left: _Optional[int] = ..., crop_top: _Optional[int] = ..., crop_right: _Optional[int] = ..., crop_bottom: _Optional[int] = ..., min_bbox_width: _Optional[float] = ..., min_bbox_height: _Optional[float] = ..., scale_width: _Optional[float] = ..., scale_height: _Optional[float] = ..., output_image_channel: _Optional[int] = ..., output_image_min: _Optional[int] = ..., output_image_max: _Optional[int] = ..., enable_auto_resize: _Optional[bool] = ...) -> None: ...

class SpatialAugmentation(_message.Message):
    __slots__ = ("hflip_probability", "vflip_probability", "zoom_min", "zoom_max", "translate_max_x", "translate_max_y", "rotate_rad_max", "rotate_probability")
    HFLIP_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    VFLIP_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    ZOOM_MIN_FIELD_NUMBER: _ClassVar[int]
    ZOOM_MAX_FIELD_NUMBER: _ClassVar[int]
    TRANSLATE_MAX_X_FIELD_NUMBER: _ClassVar[int]
    TRANSLATE_MAX_Y_FIELD_NUMBER: _ClassVar[int]
    ROTATE_RAD_MAX_FIELD_NUMBER: _ClassVar[int]
    ROTATE_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    hflip_probability: float
    vflip_probability: float
    zoom_min: float
    zoom_max: float
    translate_max_x: float
    translate_max_y: float
    rotate_rad_max: float
    rotate_probability: float
    def __init__(self, hflip_probability: _Optional[float] = ..., vflip_probability: _Optional[float] = ..., zoom_min: _Optional[float] = ..., zoom_max: _Optional[float] = ..., translate_max_x: _Optional[float] = ..., translate_max_y: _Optional[float] = ..., rotate_rad_max: _Optional[float] = ..., rotate_probability: _Optional[float] = ...) -> None: ...

class ColorAugmentation(_message.Message):
    __slots__ = ("color_shift_stddev", "hue_rotation_max", "saturation_shift_max", "contrast_scale_max", "contrast_center")
    COLOR_SHIFT_STDDEV_FIELD_NUMBER: _ClassVar[int]
    HUE_ROTATION_MAX_FIELD_NUMBER: _ClassVar[int]
    SATURATION_SHIFT_MAX_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_SCALE_MAX_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_CENTER_FIELD_NUMBER: _ClassVar[int]
    color_shift_stddev: float
    hue_rotation_max: float
    saturation_shift_max: float
    contrast_scale_max: float
    contrast_center: float
    def __init__(self, color_shift_stddev: _Optional[float] = ..., hue_rotation_max: _Optional[float] = ..., saturation_shift_max: _Optional[float] = ..., contrast_scale_max: _Optional[float] = ..., contrast_center: _Optional[float] = ...) -> None: ...

class ModelConfig(_message.Message):
    __slots__ = ("input_image_config", "arch", "anchor_box_config", "roi_mini_batch", "rpn_stride", "freeze_bn", "rpn_cls_activation_type", "freeze_blocks", "use_bias", "roi_pooling_config", "rfcn_mode", "tf_proposal_layer", "all_projections", "use_pooling", "dropout_rate", "drop_connect_rate", "activation")
    INPUT_IMAGE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    ARCH_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_BOX_CONFIG_FIELD_NUMBER: _ClassVar[int]
    ROI_MINI_BATCH_FIELD_NUMBER: _ClassVar[int]
    RPN_STRIDE_FIELD_NUMBER: _ClassVar[int]
    FREEZE_BN_FIELD_NUMBER: _ClassVar[int]
    RPN_CLS_ACTIVATION_TYPE_FIELD_NUMBER: _ClassVar[int]
    FREEZE_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    USE_BIAS_FIELD_NUMBER: _ClassVar[int]
    ROI_POOLING_CONFIG_FIELD_NUMBER: _ClassVar[int]
    RFCN_MODE_FIELD_NUMBER: _ClassVar[int]
    TF_PROPOSAL_LAYER_FIELD_NUMBER: _ClassVar[int]
    ALL_PROJECTIONS_FIELD_NUMBER: _ClassVar[int]
    USE_POOLING_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_RATE_FIELD_NUMBER: _ClassVar[int]
    DROP_CONNECT_RATE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    input_image_config: InputImageConfig
    arch: str
    anchor_box_config: AnchorBoxConfig
    roi_mini_batch: int
    rpn_stride: int
    freeze_bn: bool
    rpn_cls_activation_type: str
    freeze_blocks: _containers.RepeatedScalarFieldContainer[float]
    use_bias: bool
    roi_pooling_config: RoiPoolingConfig
    rfcn_mode: bool
    tf_proposal_layer: bool
    all_projections: bool
    use_pooling: bool
    dropout_rate: float
    drop_connect_rate: float
    activation: Activation
    def __init__(self, input_image_config: _Optional[_Union[InputImageConfig, _Mapping]] = ..., arch: _Optional[str] = ..., anchor_box_config: _Optional[_Union[AnchorBoxConfig, _Mapping]] = ..., roi_mini_batch: _Optional[int] = ..., rpn_stride: _Optional[int] = ..., freeze_bn: _Optional[bool] = ..., rpn_cls_activation_type: _Optional[str] = ..., freeze_blocks: _Optional[_Iterable[float]] = ..., use_bias: _Optional[bool] = ..., roi_pooling_config: _Optional[_Union[RoiPoolingConfig, _Mapping]] = ..., rfcn_mode: _Optional[bool] = ..., tf_proposal_layer: _Optional[bool] = ..., all_projections: _Optional[bool] = ..., use_pooling: _Optional[bool] = ..., dropout_rate: _Optional[float] = ..., drop_connect_rate: _Optional[float] = ..., activation: _Optional[_Union[Activation, _Mapping]] = ...) -> None: ...

class InputImageConfig(_message.Message):
    __slots__ = ("size_min", "size_height_width", "image_channel_mean", "image_scaling_factor", "image_channel_order", "image_type", "max_objects_num_per_image")
    class ImageType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RGB: _ClassVar[InputImageConfig.ImageType]
        GRAY_SCALE: _ClassVar[InputImageConfig.ImageType]
    RGB: InputImageConfig.ImageType
    GRAY_SCALE: InputImageConfig.ImageType
    class ImageChannelMeanEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SIZE_MIN_FIELD_NUMBER: _ClassVar[int]
    SIZE_HEIGHT_WIDTH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_CHANNEL_MEAN_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SCALING_FACTOR_FIELD_NUMBER: _ClassVar[int]
    IMAGE_CHANNEL_ORDER_FIELD_NUMBER: _ClassVar[int]
    IMAGE_TYPE_FIELD_NUMBER: _ClassVar[int]
    MAX_OBJECTS_NUM_PER_IMAGE_FIELD_NUMBER: _ClassVar[int]
    size_min: SizeMin
    size_height_width: SizeHeightWidth
    image_channel_mean: _containers.ScalarMap[str, float]
    image_scaling_factor: float
    image_channel_order: str
    image_type: InputImageConfig.ImageType
    max_objects_num_per_image: int
    def __init__(self, size_min: _Optional[_Union[SizeMin, _Mapping]] = ..., size_height_width: _Optional[_Union[SizeHeightWidth, _Mapping]] = ..., image_channel_mean: _Optional[_Mapping[str, float]] = ..., image_scaling_factor: _Optional[float] = ..., image_channel_order: _Optional[str] = ..., image_type: _Optional[_Union[InputImageConfig.ImageType, str]] = ..., max_objects_num_per_image: _Optional[int] = ...) -> None: ...

class SizeMin(_message.Message):
    __slots__ = ("min",)
    MIN_FIELD_NUMBER: _ClassVar[int]
    min: int
    def __init__(self, min: _Optional[int] = ...) -> None: ...

class SizeHeightWidth(_message.Message):
    __slots__ = ("height", "width")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ...) -> None: ...

class AnchorBoxConfig(_message.Message):
    __slots__ = ("scale", "ratio")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    RATIO_FIELD_NUMBER: _ClassVar[int]
    scale: _containers.RepeatedScalarFieldContainer[float]
    ratio: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, scale: _Optional[_Iterable[float]] = ..., ratio: _Optional[_Iterable[float]] = ...) -> None: ...

class RoiPoolingConfig(_message.Message):
    __slots__ = ("pool_size", "pool_size_2x")
    POOL_SIZE_FIELD_NUMBER: _ClassVar[int]
    POOL_SIZE_2X_FIELD_NUMBER: _ClassVar[int]
    pool_size: int
    pool_size_2x: bool
    def __init__(self, pool_size: _Optional[int] = ..., pool_size_2x: _Optional[bool] = ...) -> None: ...

class Activation(_message.Message):
    __slots__ = ("activation_type", "activation_parameters")
    class ActivationParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ACTIVATION_TYPE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    activation_type: str
    activation_parameters: _containers.ScalarMap[str, float]
    def __init__(self, activation_type: _Optional[str] = ..., activation_parameters: _Optional[_Mapping[str, float]] = ...) -> None: ...

class TrainingConfig(_message.Message):
    __slots__ = ("retrain_pruned_model", "rpn_min_overlap", "rpn_max_overlap", "classifier_min_overlap", "classifier_max_overlap", "std_scaling", "classifier_regr_std", "pretrained_weights", "num_epochs", "rpn_nms_max_boxes", "rpn_nms_overlap_threshold", "regularizer", "rpn_pre_nms_top_N", "rpn_mini_batch", "gt_as_roi", "lambda_rpn_regr", "lambda_rpn_class", "lambda_cls_regr", "lambda_cls_class", "optimizer", "learning_rate", "batch_size_per_gpu", "resume_from_model", "enable_augmentation", "checkpoint_interval", "enable_qat", "model_parallelism", "early_stopping", "visualizer", "keep_checkpoints", "save_best")
    class ClassifierRegrStdEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    RETRAIN_PRUNED_MODEL_FIELD_NUMBER: _ClassVar[int]
    RPN_MIN_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    RPN_MAX_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_MIN_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_MAX_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    STD_SCALING_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_REGR_STD_FIELD_NUMBER: _ClassVar[int]
    PRETRAINED_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    NUM_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    RPN_NMS_MAX_BOXES_FIELD_NUMBER: _ClassVar[int]
    RPN_NMS_OVERLAP_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    RPN_PRE_NMS_TOP_N_FIELD_NUMBER: _ClassVar[int]
    RPN_MINI_BATCH_FIELD_NUMBER: _ClassVar[int]
    GT_AS_ROI_FIELD_NUMBER: _ClassVar[int]
    LAMBDA_RPN_REGR_FIELD_NUMBER: _ClassVar[int]
    LAMBDA_RPN_CLASS_FIELD_NUMBER: _ClassVar[int]
    LAMBDA_CLS_REGR_FIELD_NUMBER: _ClassVar[int]
    LAMBDA_CLS_CLASS_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_PER_GPU_FIELD_NUMBER: _ClassVar[int]
    RESUME_FROM_MODEL_FIELD_NUMBER: _ClassVar[int]
    ENABLE_AUGMENTATION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ENABLE_QAT_FIELD_NUMBER: _ClassVar[int]
    MODEL_PARALLELISM_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    VISUALIZER_FIELD_NUMBER: _ClassVar[int]
    KEEP_CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    SAVE_BEST_FIELD_NUMBER: _ClassVar[int]
    retrain_pruned_model: str
    rpn_min_overlap: float
    rpn_max_overlap: float
    classifier_min_overlap: float
    classifier_max_overlap: float
    std_scaling: float
    classifier_regr_std: _containers.ScalarMap[str, float]
    pretrained_weights: str
    num_epochs: int
    rpn_nms_max_boxes: int
    rpn_nms_overlap_threshold: float
    regularizer: RegularizerConfig
    rpn_pre_nms_top_N: int
    rpn_mini_batch: int
    gt_as_roi: bool
    lambda_rpn_regr: float
    lambda_rpn_class: float
    lambda_cls_regr: float
    lambda_cls_class: float
    optimizer: OptimizerConfig
    learning_rate: LRConfig
    batch_size_per_gpu: int
    resume_from_model: str
    enable_augmentation: bool
    checkpoint_interval: int
    enable_qat: bool
    model_parallelism: _containers.RepeatedScalarFieldContainer[float]
    early_stopping: EarlyStopping
    visualizer: VisualizerConfig
    keep_checkpoints: int
    save_best: bool
    def __init__(self, retrain_pruned_model: _Optional[str] = ..., rpn_min_overlap: _Optional[float] = ..., rpn_max_overlap: _Optional[float] = ..., classifier_min_overlap: _Optional[float] = ..., classifier_max_overlap: _Optional[float] = ..., std_scaling: _Optional[float] = ..., classifier_regr_std: _Optional[_Mapping[str, float]] = ..., pretrained_weights: _Optional[str] = ..., num_epochs: _Optional[int] = ..., rpn_nms_max_boxes: _Optional[int] = ..., rpn_nms_overlap_threshold: _Optional[float] = ..., regularizer: _Optional[_Union[RegularizerConfig, _Mapping]] = ..., rpn_pre_nms_top_N: _Optional[int] = ..., rpn_mini_batch: _Optional[int] = ..., gt_as_roi: _Optional[bool] = ..., lambda_rpn_regr: _Optional[float] = ..., lambda_rpn_class: _Optional[float] = ..., lambda_cls_regr: _Optional[float] = ..., lambda_cls_class: _Optional[float] = ..., optimizer: _Optional[_Union[OptimizerConfig, _Mapping]] = ..., learning_rate: _Optional[_Union[LRConfig, _Mapping]] = ..., batch_size_per_gpu: _Optional[int] = ..., resume_from_model: _Optional[str] = ..., enable_augmentation: _Optional[bool] = ..., checkpoint_interval: _Optional[int] = ..., enable_qat: _Optional[bool] = ..., model_parallelism: _Optional[_Iterable[float]] = ..., early_stopping: _Optional[_Union[EarlyStopping, _Mapping]] = ..., visualizer: _Optional[_Union[VisualizerConfig, _Mapping]] = ..., keep_checkpoints: _Optional[int] = ..., save_best: _Optional[bool] = ...) -> None: ...

class RegularizerConfig(_message.Message):
    __slots__ = ("type", "weight")
    class RegularizationType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NO_REG: _ClassVar[RegularizerConfig.RegularizationType]
        L1: _ClassVar[RegularizerConfig.RegularizationType]
        L2: _ClassVar[RegularizerConfig.RegularizationType]
    NO_REG: RegularizerConfig.RegularizationType
    L1: RegularizerConfig.RegularizationType
    L2: RegularizerConfig.RegularizationType
    TYPE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    type: RegularizerConfig.RegularizationType
    weight: float
    def __init__(self, type: _Optional[_Union[RegularizerConfig.RegularizationType, str]] = ..., weight: _Optional[float] = ...) -> None: ...

class OptimizerConfig(_message.Message):
    __slots__ = ("adam", "sgd", "rmsprop")
    ADAM_FIELD_NUMBER: _ClassVar[int]
    SGD_FIELD_NUMBER: _ClassVar[int]
    RMSPROP_FIELD_NUMBER: _ClassVar[int]
    adam: AdamOptimizerConfig
    sgd: SgdOptimizerConfig
    rmsprop: RmspropOptimizerConfig
    def __init__(self, adam: _Optional[_Union[AdamOptimizerConfig, _Mapping]] = ..., sgd: _Optional[_Union[SgdOptimizerConfig, _Mapping]] = ..., rmsprop: _Optional[_Union[RmspropOptimizerConfig, _Mapping]] = ...) -> None: ...

class AdamOptimizerConfig(_message.Message):
    __slots__ = ("lr", "beta_1", "beta_2", "epsilon", "decay", "amsgrad")
    LR_FIELD_NUMBER: _ClassVar[int]
    BETA_1_FIELD_NUMBER: _ClassVar[int]
    BETA_2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DECAY_FIELD_NUMBER: _ClassVar[int]
    AMSGRAD_FIELD_NUMBER: _ClassVar[int]
    lr: float
    beta_1: float
    beta_2: float
    epsilon: float
    decay: float
    amsgrad: bool
    def __init__(self, lr: _Optional[float] = ..., beta_1: _Optional[float] = ..., beta_2: _Optional[float] = ..., epsilon: _Optional[float] = ..., decay: _Optional[float] = ..., amsgrad: _Optional[bool] = ...) -> None: ...

class SgdOptimizerConfig(_message.Message):
    __slots__ = ("lr", "momentum", "decay", "nesterov")
    LR_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    DECAY_FIELD_NUMBER: _ClassVar[int]
    NESTEROV_FIELD_NUMBER: _ClassVar[int]
    lr: float
    momentum: float
    decay: float
    nesterov: bool
    def __init__(self, lr: _Optional[float] = ..., momentum: _Optional[float] = ..., decay: _Optional[float] = ..., nesterov: _Optional[bool] = ...) -> None: ...

class RmspropOptimizerConfig(_message.Message):
    __slots__ = ("lr",)
    LR_FIELD_NUMBER: _ClassVar[int]
    lr: float
    def __init__(self, lr: _Optional[float] = ...) -> None: ...

class LRConfig(_message.Message):
    __slots__ = ("soft_start", "step")
    SOFT_START_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    soft_start: SoftStartAnnealingConfig
    step: StepLrConfig
    def __init__(self, soft_start: _Optional[_Union[SoftStartAnnealingConfig, _Mapping]] = ..., step: _Optional[_Union[StepLrConfig, _Mapping]] = ...) -> None: ...

class SoftStartAnnealingConfig(_message.Message):
    __slots__ = ("base_lr", "start_lr", "soft_start", "annealing_points", "annealing_divider")
    BASE_LR_FIELD_NUMBER: _ClassVar[int]
    START_LR_FIELD_NUMBER: _ClassVar[int]
    SOFT_START_FIELD_NUMBER: _ClassVar[int]
    ANNEALING_POINTS_FIELD_NUMBER: _ClassVar[int]
    ANNEALING_DIVIDER_FIELD_NUMBER: _ClassVar[int]
    base_lr: float
    start_lr: float
    soft_start: float
    annealing_points: _containers.RepeatedScalarFieldContainer[float]
    annealing_divider: float
    def __init__(self, base_lr: _Optional[float] = ..., start_lr: _Optional[float] = ..., soft_start: _Optional[float] = ..., annealing_points: _Optional[_Iterable[float]] = ..., annealing_divider: _Optional[float] = ...) -> None: ...

class StepLrConfig(_message.Message):
    __slots__ = ("base_lr", "gamma", "step_size")
    BASE_LR_FIELD_NUMBER: _ClassVar[int]
    GAMMA_FIELD_NUMBER: _ClassVar[int]
    STEP_SIZE_FIELD_NUMBER: _ClassVar[int]
    base_lr: float
    gamma: float
    step_size: float
    def __init__(self, base_lr: _Optional[float] = ..., gamma: _Optional[float] = ..., step_size: _Optional[float] = ...) -> None: ...

class EarlyStopping(_message.Message):
    __slots__ = ("monitor", "min_delta", "patience")
    MONITOR_FIELD_NUMBER: _ClassVar[int]
    MIN_DELTA_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    monitor: str
    min_delta: float
    patience: int
    def __init__(self, monitor: _Optional[str] = ..., min_delta: _Optional[float] = ..., patience: _Optional[int] = ...) -> None: ...

class VisualizerConfig(_message.Message):
    __slots__ = ("enabled", "num_images", "weight_histograms", "wandb_config", "clearml_config")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    NUM_IMAGES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_HISTOGRAMS_FIELD_NUMBER: _ClassVar[int]
    WANDB_CONFIG_FIELD_NUMBER: _ClassVar[int]
    CLEARML_CONFIG_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    num_images: int
    weight_histograms: bool
    wandb_config: WandbConfig
    clearml_config: ClearmlConfig
    def __init__(self, enabled: _Optional[bool] = ..., num_images: _Optional[int] = ..., weight_histograms: _Optional[bool] = ..., wandb_config: _Optional[_Union[WandbConfig, _Mapping]] = ..., clearml_config: _Optional[_Union[ClearmlConfig, _Mapping]] = ...) -> None: ...

class WandbConfig(_message.Message):
    __slots__ = ("enabled", "key", "project", "entity", "reinit", "name", "tags", "wandb_dir", "notes", "mode")
    class WandbMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ONLINE: _ClassVar[WandbConfig.WandbMode]
        OFFLINE: _ClassVar[WandbConfig.WandbMode]
        DISABLED: _ClassVar[WandbConfig.WandbMode]
    ONLINE: WandbConfig.WandbMode
    OFFLINE: WandbConfig.WandbMode
    DISABLED: WandbConfig.WandbMode
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    REINIT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    WANDB_DIR_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    key: str
    project: str
    entity: str
    reinit: bool
    name: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    wandb_dir: str
    notes: str
    mode: WandbConfig.WandbMode
    def __init__(self, enabled: _Optional[bool] = ..., key: _Optional[str] = ..., project: _Optional[str] = ..., entity: _Optional[str] = ..., reinit: _Optional[bool] = ..., name: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., wandb_dir: _Optional[str] = ..., notes: _Optional[str] = ..., mode: _Optional[_Union[WandbConfig.WandbMode, str]] = ...) -> None: ...

class ClearmlConfig(_message.Message):
    __slots__ = ("project", "task", "tags", "reuse_last_task_id", "continue_last_task", "deferred_init")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    REUSE_LAST_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CONTINUE_LAST_TASK_FIELD_NUMBER: _ClassVar[int]
    DEFERRED_INIT_FIELD_NUMBER: _ClassVar[int]
    project: str
    task: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    reuse_last_task_id: bool
    continue_last_task: bool
    deferred_init: bool
    def __init__(self, project: _Optional[str] = ..., task: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., reuse_last_task_id: _Optional[bool] = ..., continue_last_task: _Optional[bool] = ..., deferred_init: _Optional[bool] = ...) -> None: ...

class TrtInference(_message.Message):
    __slots__ = ("trt_engine",)
    TRT_ENGINE_FIELD_NUMBER: _ClassVar[int]
    trt_engine: str
    def __init__(self, trt_engine: _Optional[str] = ...) -> None: ...

class InferenceConfig(_message.Message):
    __slots__ = ("images_dir", "model", "bbox_visualize_threshold", "classifier_nms_overlap_threshold", "rpn_nms_max_boxes", "rpn_nms_overlap_threshold", "classifier_nms_max_boxes", "rpn_pre_nms_top_N", "detection_image_output_dir", "bbox_caption_on", "labels_dump_dir", "trt_inference", "batch_size", "object_confidence_thres", "nms_score_bits")
    IMAGES_DIR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BBOX_VISUALIZE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_NMS_OVERLAP_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    RPN_NMS_MAX_BOXES_FIELD_NUMBER: _ClassVar[int]
    RPN_NMS_OVERLAP_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_NMS_MAX_BOXES_FIELD_NUMBER: _ClassVar[int]
    RPN_PRE_NMS_TOP_N_FIELD_NUMBER: _ClassVar[int]
    DETECTION_IMAGE_OUTPUT_DIR_FIELD_NUMBER: _ClassVar[int]
    BBOX_CAPTION_ON_FIELD_NUMBER: _ClassVar[int]
    LABELS_DUMP_DIR_FIELD_NUMBER: _ClassVar[int]
    TRT_INFERENCE_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_CONFIDENCE_THRES_FIELD_NUMBER: _ClassVar[int]
    NMS_SCORE_BITS_FIELD_NUMBER: _ClassVar[int]
    images_dir: str
    model: str
    bbox_visualize_threshold: float
    classifier_nms_overlap_threshold: float
    rpn_nms_max_boxes: int
    rpn_nms_overlap_threshold: float
    classifier_nms_max_boxes: int
    rpn_pre_nms_top_N: int
    detection_image_output_dir: str
    bbox_caption_on: bool
    labels_dump_dir: str
    trt_inference: TrtInference
    batch_size: int
    object_confidence_thres: float
    nms_score_bits: int
    def __init__(self, images_dir: _Optional[str] = ..., model: _Optional[str] = ..., bbox_visualize_threshold: _Optional[float] = ..., classifier_nms_overlap_threshold: _Optional[float] = ..., rpn_nms_max_boxes: _Optional[int] = ..., rpn_nms_overlap_threshold: _Optional[float] = ..., classifier_nms_max_boxes: _Optional[int] = ..., rpn_pre_nms_top_N: _Optional[int] = ..., detection_image_output_dir: _Optional[str] = ..., bbox_caption_on: _Optional[bool] = ..., labels_dump_dir: _Optional[str] = ..., trt_inference: _Optional[_Union[TrtInference, _Mapping]] = ..., batch_size: _Optional[int] = ..., object_confidence_thres: _Optional[float] = ..., nms_score_bits: _Optional[int] = ...) -> None: ...

class EvaluationConfig(_message.Message):
    __slots__ = ("model", "rpn_nms_max_boxes", "rpn_nms_overlap_threshold", "classifier_nms_max_boxes", "classifier_nms_overlap_threshold", "object_confidence_thres", "rpn_pre_nms_top_N", "use_voc07_11point_metric", "validation_period_during_training", "batch_size", "trt_evaluation", "gt_matching_iou_threshold_range", "gt_matching_iou_threshold", "visualize_pr_curve")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RPN_NMS_MAX_BOXES_FIELD_NUMBER: _ClassVar[int]
    RPN_NMS_OVERLAP_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_NMS_MAX_BOXES_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_NMS_OVERLAP_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    OBJECT_CONFIDENCE_THRES_FIELD_NUMBER: _ClassVar[int]
    RPN_PRE_NMS_TOP_N_FIELD_NUMBER: _ClassVar[int]
    USE_VOC07_11POINT_METRIC_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_PERIOD_DURING_TRAINING_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    TRT_EVALUATION_FIELD_NUMBER: _ClassVar[int]
    GT_MATCHING_IOU_THRESHOLD_RANGE_FIELD_NUMBER: _ClassVar[int]
    GT_MATCHING_IOU_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    VISUALIZE_PR_CURVE_FIELD_NUMBER: _ClassVar[int]
    model: str
    rpn_nms_max_boxes: int
    rpn_nms_overlap_threshold: float
    classifier_nms_max_boxes: int
    classifier_nms_overlap_threshold: float
    object_confidence_thres: float
    rpn_pre_nms_top_N: int
    use_voc07_11point_metric: bool
    validation_period_during_training: int
    batch_size: int
    trt_evaluation: TrtInference
    gt_matching_iou_threshold_range: GtMatchingIouThresholdRange
    gt_matching_iou_threshold: float
    visualize_pr_curve: bool
    def __init__(self, model: _Optional[str] = ..., rpn_nms_max_boxes: _Optional[int] = ..., rpn_nms_overlap_threshold: _Optional[float] = ..., classifier_nms_max_boxes: _Optional[int] = ..., classifier_nms_overlap_threshold: _Optional[float] = ..., object_confidence_thres: _Optional[float] = ..., rpn_pre_nms_top_N: _Optional[int] = ..., use_voc07_11point_metric: _Optional[bool] = ..., validation_period_during_training: _Optional[int] = ..., batch_size: _Optional[int] = ..., trt_evaluation: _Optional[_Union[TrtInference, _Mapping]] = ..., gt_matching_iou_threshold_range: _Optional[_Union[GtMatchingIouThresholdRange, _Mapping]] = ..., gt_matching_iou_threshold: _Optional[float] = ..., visualize_pr_curve: _Optional[bool] = ...) -> None: ...

class GtMatchingIouThresholdRange(_message.Message):
    __slots__ = ("start", "end", "step")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    start: float
    end: float
    step: float
    def __init__(self, start: _Optional[float] = ..., end: _Optional[float] = ..., step: _Optional[float] = ...) -> None: ...
