"""README's picture of the pipeline has the names of the compiled one."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_graph_has_every_step_group_and_gate_by_its_name():
    graph = re.search(r"```mermaid\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)[1]
    graph = re.sub(r"\w+\[\"(.*?)\"\]", lambda found: found[1].replace(" ", "_"), graph)
    words = {word.replace("_", " ") for word in re.findall(r"[\w-]+", graph)}
    shown = words - {"graph", "LR", "subgraph", "end", "--", "---", "again"}
    compiled = (ROOT / "pipelines/compiled/faster_rcnn.yaml").read_text("utf-8")
    names = set(re.findall(r"taskInfo:\n\s+name: (.*)", compiled))
    # Not drawn: the exit handler, and the group of everything before it.
    assert shown == names - {"notify", "whole-way"}
