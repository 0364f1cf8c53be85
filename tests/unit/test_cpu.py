"""CPU features that decide about precision."""

import pytest

from frcnn.cpu import ONEDNN_LIMIT, has_bfloat16, saturates_int8

X86 = "processor\t: 0\nmodel name\t: a bf16 machine\nflags\t\t: fpu sse2 {}\nbugs\t\t: none\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd {}\n"


@pytest.fixture(autouse=True)
def no_limit(monkeypatch):
    """The tests may themselves run with a limit."""
    monkeypatch.delenv(ONEDNN_LIMIT, raising=False)


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
