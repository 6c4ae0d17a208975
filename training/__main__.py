"""``python -m training``: the offline job. It makes a model out of videos and says how good it is."""

# ruff: noqa: PLC0415 (torch, scikit-learn and MediaPipe take seconds to import, and no command needs all of them)

import os
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from pydantic import ValidationError

_commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Train a detector, in this order:

`extract` cuts faces out of folders of videos · `landmarks` finds the points that pseudo-fakes follow (optional) ·
`pack` makes the data small enough to take along (optional) ·
`train` trains · `calibrate` sets temperature and thresholds · `evaluate` says how good it is · `release` writes the
directory that `unmask models add` installs.""",
)

Model = Annotated[Path, typer.Option(help="Directory of a model.", metavar="DIR")]
Manifest = Annotated[Path, typer.Option(help="A manifest of 'extract', or a list of shards.", metavar="CSV")]
Out = Annotated[Path, typer.Option(help="Folder that is written.", metavar="DIR")]
Layout = Literal["plain", "csv", "ffpp-c23", "ffpp-c40", "celeb-df-official", "celeb-df-disjoint", "dfdc"]
Processes = Annotated[int, typer.Option(min=1, help="Processes at a time.")]
_CORES = os.cpu_count() or 1


@_commands.command()
def extract(
    videos: Annotated[Path, typer.Argument(help="Folder of a data set, or a CSV.")],
    out: Annotated[Path, typer.Argument(help="Gets crops, manifest.csv and failures.csv.")],
    layout: Annotated[
        Layout,
        typer.Option(
            help="plain: folders real/ and fake/. csv: path,label[,dataset,method,split,group,person]. ffpp-*: "
            "FaceForensics++ with its splits/. celeb-df-official: the official test list. celeb-df-disjoint: nobody "
            "in two splits. dfdc: parts with metadata.json."
        ),
    ] = "plain",
    balance: Annotated[bool, typer.Option(help="As many clips of each label in a split.")] = False,
    shard: Annotated[str, typer.Option(help="Only the i-th of n parts, as in 2/4.")] = "1/1",
    processes: Processes = _CORES,
) -> None:
    """Cut the faces out of videos exactly as the service does. Goes on where it was interrupted."""
    from training.data.extract import extract as run
    from training.data.layouts import DatasetListing, find_clips
    from training.data.layouts import balance as keep_balanced
    from worker.detector.config import DetectorConfig

    found = find_clips(videos, layout)
    chosen = DatasetListing(keep_balanced(found.clips), found.failures) if balance else found
    crops, failures = run(chosen, out, DetectorConfig(), shard=shard, processes=processes)
    typer.echo(f"{crops} crops; {failures} clips or rows gave none (see {out / 'failures.csv'}).")


@_commands.command()
def landmarks(
    manifest: Manifest,
    model: Annotated[Path, typer.Option(help="MediaPipe's face_landmarker.task.")],
    out: Annotated[Path, typer.Option(help="File that is written, for data.landmarks.", metavar="NPZ")],
    processes: Processes = _CORES,
) -> None:
    """Find the landmarks of the real faces of 'train', once, for the masks of pseudo-fakes."""
    from training.data.landmarks import find_landmarks
    from training.data.manifest import load_manifest

    rows = [row for row in load_manifest(manifest) if row.label == 0 and row.split == "train"]
    found = find_landmarks(rows, manifest.parent, out, model=model, processes=processes)
    typer.echo(f"{found} of {len(rows)} real faces have landmarks.")


@_commands.command()
def pack(
    config: Annotated[Path, typer.Option(help="YAML; its data are packed.")],
    out: Out,
    max_mb: Annotated[float, typer.Option(min=0.01, help="Most megabytes (2**20 bytes) of images.")] = 30.0,
    order: Annotated[str, typer.Option(help="Data sets in the order of packing; ':2': two frames per clip.")] = "*",
    box_px: Annotated[int, typer.Option(min=16, help="Width of a face box; smaller ones keep their size.")] = 112,
    override: Annotated[list[str] | None, typer.Argument(help="NAME=VALUE, as in data.manifest=faces.csv.")] = None,
) -> None:
    """Pack what a configuration trains on into a few megabytes, for a machine that has no data."""
    from training.config import load_config
    from training.data.pack import PackOptions, parse_order
    from training.data.pack import pack as run

    options = PackOptions(max_bytes=int(max_mb * 2**20), order=parse_order(order), box_px=box_px)
    counts = run(load_config(config, override or []), out, options)
    packed = ", ".join(f"{count} of {dataset}" for dataset, count in counts.items())
    typer.echo(f"{sum(counts.values())} images: {packed}.")
    typer.echo(f"Next: python -m training train --config {out / 'config.json'}")


@_commands.command()
def train(
    config: Annotated[Path, typer.Option(help="YAML; see training/configs.")],
    out: Out,
    override: Annotated[list[str] | None, typer.Argument(help="NAME=VALUE, as in frames.steps=100.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="Leave a data set out; 'dfdc*' is a pattern.")] = None,
) -> None:
    """Train a model, or go on with one. Several GPUs: torchrun --nproc-per-node 4 -m training train ..."""
    import json

    from training.config import load_config
    from training.trainer.train import train as run

    left_out = [f"data.without={json.dumps(without)}"] if without else []
    model = run(load_config(config, [*(override or []), *left_out]), out)
    typer.echo(f"{model} is trained. Next: python -m training calibrate --model {model}")


@_commands.command()
def calibrate(
    model: Model,
    manifest: Manifest,
    clips: Annotated[
        Path | None,
        typer.Option(help="Real videos of other sources: path,label[,dataset,group]. Thresholds hold on them too."),
    ] = None,
    suspicious: Annotated[float, typer.Option(help="False-positive rate of SUSPICIOUS.")] = 0.05,
    manipulated: Annotated[float, typer.Option(help="False-positive rate of MANIPULATED.")] = 0.01,
    processes: Processes = _CORES,
) -> None:
    """Set temperature, bias, thresholds, and whether the Transformer has a say, on the calibration part of 'val'."""
    import shutil
    import tempfile

    from training.data.images import ImageStore
    from training.data.manifest import is_one_of, load_manifest
    from training.data.splits import rows_of_part
    from training.evaluation.calibrate import Targets, compare_correction
    from training.evaluation.calibrate import calibrate as fit
    from training.evaluation.evaluate import left_out
    from training.evaluation.predict import predict_clips, predict_crops, read_list
    from training.release.release import with_scoring, write_manifest
    from worker.detector.config import ScoringConfig
    from worker.detector.model.engine import make_engine
    from worker.detector.model.manifest import load_manifest as load_model

    targets, known = Targets(suspicious, manipulated), load_model(model)
    listed = read_list(clips) if clips else []
    rows = rows_of_part(load_manifest(manifest), "calibrate")
    rows = [row for row in rows if not is_one_of(row.dataset, left_out(known))]
    engine, store = make_engine(model, known, device="auto"), ImageStore(manifest.parent)
    scoring = ScoringConfig()
    items = predict_crops(rows, store, engine, with_scoring(known, scoring))
    if (aucs := compare_correction(items)) and aucs[0] < aucs[1]:
        # Again: who decides a clip of several people may be another one.
        scoring = ScoringConfig(correction_weight=0.0)
        items = predict_crops(rows, store, engine, with_scoring(known, scoring))
    if listed:
        with tempfile.TemporaryDirectory() as scratch:  # videos are judged as a worker would, by a model on disk
            copy = Path(shutil.copytree(model, Path(scratch, "model")))
            write_manifest(copy, with_scoring(known, scoring))
            items += predict_clips(listed, copy, processes=processes)
    scoring = fit(items, scoring, targets)
    write_manifest(model, with_scoring(known, scoring))
    if aucs:
        typer.echo(
            f"Sequences: AUC {aucs[0]:.3f} with the Transformer, {aucs[1]:.3f} by the mean; the better is taken."
        )
    reals = sum(item.is_sequence and item.label == 0 for item in items)
    if reals * manipulated < 1:
        typer.echo(f"Of {reals} real sequences no {manipulated:.1%} can be told: MANIPULATED begins above the highest.")
    typer.echo(f"Calibrated on {len(items)} items: {scoring.model_dump_json()}")


@_commands.command()
def evaluate(
    out: Out,
    manifest: Annotated[Path | None, typer.Option(help="Crops: a manifest of 'extract', or shards.")] = None,
    frames: Annotated[Path | None, typer.Option(help="Stills: path,label[,dataset,video,frame].")] = None,
    clips: Annotated[Path | None, typer.Option(help="Videos: path,label[,dataset,group].")] = None,
    model: Annotated[Path | None, typer.Option(help="Directory of a model; else the bundled one.")] = None,
    rows: Annotated[
        Literal["unseen", "all"], typer.Option(help="Of a manifest: what the model never saw, or all.")
    ] = "unseen",
    only: Annotated[
        list[str] | None, typer.Option(help="Of a manifest: these data sets; 'dfdc*' is a pattern.")
    ] = None,
    robustness: Annotated[
        bool, typer.Option(help="Also under JPEG, blur, half size, noise; videos re-encoded.")
    ] = False,
    processes: Processes = _CORES,
) -> None:
    """Say how good a model is. Writes report.json, report.md and pictures."""
    from training.evaluation.evaluate import Evaluation, run_evaluation
    from training.evaluation.report import format_table

    chosen = [kind for kind in (manifest, frames, clips) if kind is not None]
    if len(chosen) != 1:
        _give_up("Give one of --manifest, --frames and --clips.")
    datasets = run_evaluation(
        Evaluation(
            model=model,
            manifest=manifest,
            frames=frames,
            clips=clips,
            rows=rows,
            only=tuple(only or ()),
            robustness=robustness,
            processes=processes,
        ),
        out,
    )
    typer.echo(format_table(datasets, ["auc", "f1", "ece", "coverage"]))
    typer.echo(f"See {out / 'report.md'}.")


@_commands.command()
def release(
    model: Model,
    out: Out,
    name: Annotated[str, typer.Option(help="Lower case, digits, '.', '_', '-'.")],
    version: Annotated[str, typer.Option(help="As in 1.0.0.")],
    report: Annotated[Path | None, typer.Option(help="report.json of its evaluation.")] = None,
    notes: Annotated[Path | None, typer.Option(help="Markdown for the card.")] = None,
) -> None:
    """Check a calibrated model and write the directory that a service runs."""
    from training.release.release import release as run

    released = run(model, out, name=name, version=version, report=report, notes=notes)
    typer.echo(f"{out}: {released.name} {released.version}. Next: unmask models add {out}")


def _give_up(message: str) -> NoReturn:
    typer.secho(message, err=True, fg="red")
    raise typer.Exit(1)


def main() -> None:
    """The entry point: what a person can mend is said in one line."""
    from training.errors import TrainingError
    from worker.detector.model.engine import EngineError
    from worker.detector.model.manifest import CheckpointError
    from worker.detector.sandbox.parent import SandboxError

    try:
        _commands()
    except (CheckpointError, EngineError, SandboxError, TrainingError, ValidationError) as error:
        _give_up(str(error))


if __name__ == "__main__":
    main()
