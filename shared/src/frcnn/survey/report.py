"""Combines the results of a survey, and writes the page and the JSON file."""

import dataclasses
import json
from pathlib import Path

from frcnn.drawing.colors import class_indices
from frcnn.files import atomic_path
from frcnn.single_writer import only_writer_in
from frcnn.survey.duplicates import Duplicates, find_duplicates
from frcnn.survey.findings import Finding, judge
from frcnn.survey.network_input import NetworkInput
from frcnn.survey.samples import Samples, choose_samples
from frcnn.survey.statistics import RATIO_EDGES, SIZE_EDGES, AnchorSettings, ClassCounts, Statistics, compute
from frcnn.survey.tables import Tables

PAGE, JSON = "report.html", "report.json"
# Images to compare for similarity; all pairs of these are compared.
MAX_COMPARED = 20_000
# Groups of duplicates to list.
_MAX_GROUPS = 100


@dataclasses.dataclass(frozen=True)
class JudgedSpec:
    """Properties of a spec that a report judges.

    Attributes:
        name: Name of the spec.
        anchors: Anchors of the spec and overlaps.
        classes: Names of the classes that the spec maps, as records store them.
    """

    name: str
    anchors: AnchorSettings
    classes: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Survey:
    """Content of a report.

    Attributes:
        sources: Names of the data sets.
        folds: Names of the folds.
        findings: Judgments, the most serious first.
        statistics: Counts.
        duplicates: Images that occur several times.
        groups: Names of these images with their folds: identical files, then similar images.
        samples: Objects to show.
        network: Network input.
        anchors: Anchors of the spec and overlaps.
        issues: Number of issues of each kind, and the first few of them.
        regions: Number of DontCare regions.
        spec: Name of the spec; empty without one.
    """

    sources: tuple[str, ...]
    folds: tuple[str, ...]
    findings: tuple[Finding, ...]
    statistics: Statistics
    duplicates: Duplicates
    groups: tuple[tuple[str, ...], ...]
    samples: Samples
    network: NetworkInput
    anchors: AnchorSettings
    issues: tuple[tuple[str, int, str], ...]
    first_issues: tuple[str, ...]
    regions: int
    spec: str

    @property
    def colors(self) -> dict[str, int]:
        """Index of the color of each class; those without objects follow, since no model learns them."""
        present = class_indices(each.name for each in self.statistics.classes if each.total)
        absent = class_indices(each.name for each in self.statistics.classes if not each.total)
        return present | {name: len(present) + number for name, number in absent.items()}

    def to_dict(self) -> dict[str, object]:
        """Returns the content of report.json."""
        found = self.statistics
        return {
            "sources": list(self.sources),
            "spec": self.spec,
            "findings": [dataclasses.asdict(each) for each in self.findings],
            "folds": [
                {
                    "name": name,
                    "images": int(found.images[number]),
                    "images_unusable": int(found.unusable[number]),
                    "images_without_objects": int(found.without_objects[number]),
                    "objects": int(sum(each.objects[number] for each in found.classes)),
                }
                for number, name in enumerate(self.folds)
            ],
            "classes": [self._class(each) for each in found.classes],
            "images": {
                "sizes": [{"height": h, "width": w, "images": n} for (h, w), n in found.sizes],
                "other_sizes": found.other_sizes,
                "channels": {str(number): count for number, count in found.channels.items()},
                "exif_turned": found.turned,
                "unused_bits": found.unused_bits,
                "stretched": found.stretched,
            },
            "objects_per_image": found.per_image.tolist(),
            "network_input": {
                "height": self.network.images.height,
                "width": self.network.images.width,
                "stride": self.network.stride,
                "max_objects": self.network.max_objects,
                "images_crowded": found.crowded,
                "objects_cut_off": found.cut_off,
                "objects_dropped": found.dropped,
                "objects_below_stride": found.below_stride,
            },
            "histograms": {
                "side_edges": SIZE_EDGES.tolist(),
                "side_in_image": found.sides_image.tolist(),
                "side_in_network_input": found.sides_input.tolist(),
                "ratio_edges": RATIO_EDGES.tolist(),
                "ratio": found.ratios.tolist(),
            },
            "anchors": self._anchors(),
            "issues": [{"kind": k, "count": n, "skipped": cost} for k, n, cost in self.issues],
            "dont_care_regions": self.regions,
            "duplicates": {
                "equal_files": [list(group) for group in self.groups[: len(self.duplicates.exact)]],
                "similar": [list(group) for group in self.groups[len(self.duplicates.exact) :]],
                "compared": self.duplicates.compared,
            },
        }

    def _class(self, each: ClassCounts) -> dict[str, object]:
        return {
            "name": each.name,
            "objects": dict(zip(self.folds, each.objects.tolist(), strict=True)),
            "images": dict(zip(self.folds, each.images.tolist(), strict=True)),
            "typical_side": each.typical_side,
            "objects_dropped": each.dropped,
            "anchors_given": each.given.to_dict() if self.anchors.anchors else None,
            "anchors_fitted": each.fitted.to_dict(),
        }

    def _anchors(self) -> dict[str, object]:
        given, fitted = self.anchors.anchors, self.statistics.fitted_anchors
        return {
            "min_overlap": self.anchors.min_overlap,
            "max_overlap": self.anchors.max_overlap,
            "given": given and {**given.to_dict(), **self.statistics.given.to_dict()},
            "fitted": fitted and {**fitted.to_dict(), **self.statistics.fitted.to_dict()},
        }


def survey(
    tables: Tables, network: NetworkInput, spec: JudgedSpec | None = None, compared: int = MAX_COMPARED
) -> Survey:
    """Computes the content of a report.

    Args:
        tables: Rows of the data sets.
        network: Network input.
        spec: Spec whose anchors and classes to judge.
        compared: Maximum number of images to compare for similarity; 0 for none.

    Returns:
        The survey.
    """
    settings = AnchorSettings() if spec is None else spec.anchors
    mapped = None if spec is None else spec.classes
    found = compute(tables, network, settings)
    duplicates = find_duplicates(tables, compared)
    findings = judge(tables, found, duplicates, network, settings, mapped)
    groups = (*duplicates.exact[:_MAX_GROUPS], *duplicates.similar[:_MAX_GROUPS])
    return Survey(
        sources=tuple(source.name for source in tables.sources),
        folds=tables.folds,
        findings=tuple(findings),
        statistics=found,
        duplicates=dataclasses.replace(
            duplicates, exact=duplicates.exact[:_MAX_GROUPS], similar=duplicates.similar[:_MAX_GROUPS]
        ),
        groups=tuple(_group(tables, group) for group in groups),
        samples=choose_samples(tables, [each.name for each in found.classes if each.total]),
        network=network,
        anchors=settings,
        issues=tuple((str(kind), count, kind.cost) for kind, count in tables.issues.most_common()),
        first_issues=tuple(map(str, tables.first_issues)),
        regions=tables.regions,
        spec="" if spec is None else spec.name,
    )


def write_report(folder: Path, found: Survey) -> tuple[Path, Path]:
    """Writes the page and the JSON file.

    Args:
        folder: Output folder; created if missing.
        found: Content.

    Returns:
        Paths of the page and of the JSON file.
    """
    from frcnn.survey.page import save_survey

    text = json.dumps(found.to_dict(), indent=1, ensure_ascii=False) + "\n"
    with (
        only_writer_in(folder, "report"),
        atomic_path(folder / JSON) as temporary,
    ):  # replaced after the page, so that both are new or none
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        save_survey(folder / PAGE, found)
    return folder / PAGE, folder / JSON


def _group(tables: Tables, group: tuple[int, ...]) -> tuple[str, ...]:
    names = []
    for number in group:
        place = tables.place(number)
        fold = tables.folds[int(tables.images["fold"][number])]
        names.append(f"{place.source.reader.path(place.job).name} ({fold})")
    return tuple(names)
