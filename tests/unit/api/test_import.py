"""Cost of importing the package, and behavior without optional packages; each in a new process."""

import os
import subprocess
import sys
import textwrap

import frcnn

# As if the package were not installed.
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


def run(code, *, without=()):
    lead = WITHOUT.format(packages=set(without)) if without else ""
    done = subprocess.run(
        [sys.executable, "-c", lead + textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_is_quick_and_brings_nothing_heavy():
    code = """
    import sys, time
    began = time.process_time()
    import frcnn
    print(time.process_time() - began)
    print([name for name in ("numpy", "tensorflow", "keras", "PIL", "google", "rich") if name in sys.modules])
    """
    seconds, heavy = min(run(code).splitlines() for _ in range(3))
    assert heavy == "[]"
    assert float(seconds) < 0.05


def test_every_public_name_is_there_and_listed():
    assert set(frcnn._DEFINED_IN) == set(frcnn.__all__) - {"errors", "spec"}
    for name in frcnn.__all__:
        assert getattr(frcnn, name) is not None
        assert name in dir(frcnn)
    assert callable(frcnn.load) and callable(frcnn.train)


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(frcnn, "no_such_name")


def test_names_of_settings_need_neither_numpy_nor_tensorflow():
    run(
        """
        import frcnn
        spec = frcnn.Spec.build(arch="resnet:18", size_height_width=(384, 1248),
                                target_class_mapping={"car": "car"}, tfrecords_path="records/*")
        assert frcnn.Spec.parse(spec.to_text()) == spec
        assert issubclass(frcnn.errors.SpecError, ValueError)
        """,
        without=["numpy", "tensorflow", "keras"],
    )


def test_an_exported_model_runs_without_tensorflow_and_keras(models):
    code = f"""
    import sys
    import frcnn
    for runtime in ("onnxruntime", "openvino"):
        with frcnn.load({str(models.exported)!r}, runtime=runtime) as detector:
            found = detector.predict({str(models.images[0])!r})
            print(len(found))
            found.draw({str(models.images[0])!r})
            found.to_kitti(), found.to_coco(1), found.to_supervision(), found.to_dict()
    assert not [name for name in sys.modules if name.partition(".")[0] in ("tensorflow", "keras")]
    assert not [name for name in sys.modules if name.startswith(("frcnn.spec.schema", "frcnn.spec.load"))]
    """
    counts = run(code, without=["tensorflow", "keras", "tf2onnx"]).split()
    expected = len(frcnn.load(models.exported).predict(models.images[0]))
    assert counts == [str(expected)] * 2 and expected > 3


def test_the_classes_of_a_spec_are_imported_on_their_first_use():
    run(
        """
        import sys
        import frcnn.spec
        assert "frcnn.spec.schema.experiment" not in sys.modules
        assert set(frcnn.spec.__all__) <= set(dir(frcnn.spec))
        assert frcnn.spec.ModelConfig is sys.modules["frcnn.spec.schema.model"].ModelConfig
        found = {name: getattr(frcnn.spec, name).__name__ for name in frcnn.spec.__all__}
        assert all(name == value for name, value in found.items() if value != "Literal"), found
        try:
            frcnn.spec.KitiConfig
        except AttributeError as error:
            assert str(error) == "module 'frcnn.spec' has no attribute 'KitiConfig'"
        else:
            raise AssertionError("KitiConfig was found")
        """
    )


def test_a_missing_package_is_named_with_the_extra_that_brings_it(models):
    code = f"""
    import frcnn
    try:
        frcnn.load({str(models.trained)!r})
    except frcnn.errors.MissingPackageError as error:
        print(error.package, error.extra)
        print(error)
    """
    names, text = run(code, without=["keras"]).splitlines()
    assert names == "keras train"
    assert text == (
        "loading model.keras needs the package keras, which is not installed: pip install 'frcnn[train]'"
    )


def test_training_leaves_tensorflow_to_its_child_process(tmp_path):
    code = f"""
    import sys
    import frcnn
    spec = frcnn.Spec.build(arch="resnet:10", size_height_width=(128, 160),
                            target_class_mapping={{"car": "car"}}, tfrecords_path="no-such/*")
    try:
        frcnn.train(spec, {str(tmp_path)!r})
    except frcnn.errors.DataError as error:
        print(error)
    assert "tensorflow" not in sys.modules and "keras" not in sys.modules
    """
    assert "no-such" in run(code)


def test_warnings_are_silent_unless_logging_is_set_up(tmp_path):
    code = """
    import logging
    import frcnn
    frcnn.Spec.build(arch="resnet:18", size_height_width=(384, 1248), tfrecords_path="x",
                     target_class_mapping={"Car": "car"})  # remarks on the upper case
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_loading_a_trained_model_and_predicting_write_nothing(models):
    code = """
    import sys
    import frcnn
    with frcnn.load(sys.argv[1]) as detector:
        detector.predict(sys.argv[2])
    """
    unset = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), models.trained, models.images[0]],
        env={**unset, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
