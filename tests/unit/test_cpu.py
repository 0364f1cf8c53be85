"""CPU features that decide about precision."""

import os

import pytest

from frcnn.cpu import (
    ONEDNN_LIMIT,
    ONEDNN_SWITCH,
    choose_onednn,
    has_bfloat16,
    onednn_without_avx512,
    saturates_int8,
    usable_cores,
)

X86 = "processor\t: 0\nmodel name\t: a bf16 machine\nflags\t\t: fpu sse2 {}\nbugs\t\t: none\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd {}\n"


@pytest.fixture(autouse=True)
def no_limit(monkeypatch):
    """The tests may themselves run with a limit."""
    monkeypatch.delenv(ONEDNN_LIMIT, raising=False)
    monkeypatch.delenv(ONEDNN_SWITCH, raising=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86.format("avx512f avx512_bf16"), True),
        (X86.format("amx_bf16 amx_tile"), True),
        (X86.format("avx512f avx512_vnni"), False),
        (ARM.format("i8mm bf16"), True),
        (ARM.format("i8mm"), False),
        ("", False),
    ],
)
def test_flags_decide(tmp_path, text, expected):
    (tmp_path / "cpuinfo").write_text(text)
    assert has_bfloat16(tmp_path / "cpuinfo") is expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("AVX2", False), ("avx512_core", False), ("AVX512_CORE_BF16", True), ("DEFAULT", True)],
)
def test_a_limit_of_onednn_holds_for_bfloat16(tmp_path, monkeypatch, limit, expected):
    monkeypatch.setenv(ONEDNN_LIMIT, limit)
    (tmp_path / "cpuinfo").write_text(X86.format("avx512f avx512_bf16"))
    assert has_bfloat16(tmp_path / "cpuinfo") is expected


def test_without_the_file_the_answer_is_no(tmp_path):
    assert has_bfloat16(tmp_path / "cpuinfo") is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86.format("avx2 avx512f"), True),
        (X86.format("avx512f avx512_vnni"), False),
        (X86.format("avx2 avx_vnni"), False),
        (ARM.format("asimddp"), False),
        ("", False),
    ],
)
def test_int8_products_saturate_on_x86_without_vnni(tmp_path, text, expected):
    (tmp_path / "cpuinfo").write_text(text)
    assert saturates_int8(tmp_path / "cpuinfo") is expected


@pytest.mark.parametrize(
    ("text", "before", "expected"),
    [
        (X86.format("avx2"), None, "1"),
        (X86.format("avx2"), "0", "0"),
        (X86.format("avx2 avx512f"), None, "1"),
        (X86.format("avx"), None, None),
        (ARM.format("asimd"), None, None),
        ("", None, None),
    ],
)
def test_onednn_is_chosen_where_avx2_is_unless_the_user_has_chosen(
    tmp_path, monkeypatch, text, before, expected
):
    monkeypatch.setenv(ONEDNN_SWITCH, "to be restored")
    del os.environ[ONEDNN_SWITCH]
    if before is not None:
        os.environ[ONEDNN_SWITCH] = before
    (tmp_path / "cpuinfo").write_text(text)
    choose_onednn(tmp_path / "cpuinfo")
    assert os.environ.get(ONEDNN_SWITCH) == expected


@pytest.mark.parametrize(
    ("flags", "limit", "switch", "expected"),
    [
        ("avx2", "", None, True),
        ("avx2", "", "1", True),
        ("avx2", "", "0", False),
        ("avx2 avx512f", "", None, False),
        ("avx2 avx512f", "AVX2", None, True),
        ("avx2 avx512f", "avx512_core", None, False),
        ("avx", "", None, False),
    ],
)
def test_fusions_are_slow_with_onednn_without_avx512(tmp_path, monkeypatch, flags, limit, switch, expected):
    monkeypatch.setenv(ONEDNN_LIMIT, limit)
    if switch is not None:
        monkeypatch.setenv(ONEDNN_SWITCH, switch)
    (tmp_path / "cpuinfo").write_text(X86.format(flags))
    assert onednn_without_avx512(tmp_path / "cpuinfo") is expected


def test_cores_are_those_that_the_process_may_use_if_the_system_tells(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 4, 6}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores() == 8
