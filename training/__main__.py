"""``python -m training``: command line of the offline pipeline, from labelled videos to a released model."""

# ruff: noqa: PLC0415 (torch, scikit-learn and MediaPipe take seconds to import, and no command needs all of them)

import os
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from pydantic import ValidationError

commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Train a detector, in this order:

`extract` cuts faces out of folders of videos · `landmarks` finds the face landmarks for pseudo-fakes (optional) ·
`generate` makes faces that went through a generator, for more of them (optional) · `pack` packs the data into a few
megabytes (optional) · `preview` shows the pairs of a training · `train` trains · `average` averages models (optional) ·
`calibrate` sets temperature and thresholds · `evaluate` measures the model · `release` writes the directory that
`unmask models add` installs.""",
)

Model = Annotated[Path, typer.Option(help="Directory of a model.", metavar="DIR")]
Manifest = Annotated[Path, typer.Option(help="A manifest of 'extract', or a list of shards.", metavar="CSV")]
Out = Annotated[Path, typer.Option(help="Folder to write.", metavar="DIR")]
Layout = Literal["plain", "csv", "ffpp-c23", "ffpp-c40", "celeb-df-official", "celeb-df-disjoint", "dfdc"]
Processes = Annotated[int, typer.Option(min=1, help="Number of parallel processes.", show_default="number of cores")]
_CORES = os.cpu_count() or 1


@commands.command()
def extract(
    videos: Annotated[Path, typer.Argument(help="Folder of a data set, or a CSV.")],
    out: Annotated[Path, typer.Argument(help="Folder for crops, manifest.csv and failures.csv.")],
    layout: Annotated[
        Layout,
        typer.Option(
            help="plain: folders real/ and fake/. csv: path,label[,dataset,method,split,group,person]. ffpp-*: "
            "FaceForensics++ with its splits/. celeb-df-official: the official test list. celeb-df-disjoint: no person "
            "in two splits. dfdc: parts with metadata.json."
        ),
    ] = "plain",
    balance: Annotated[bool, typer.Option(help="Keep as many real as fake clips per split.")] = False,
    shard: Annotated[str, typer.Option(help="Only shard i of n, as in 2/4.")] = "1/1",
    processes: Processes = _CORES,
) -> None:
    """Cut the faces out of videos exactly as the service does. An interrupted run resumes."""
    from training.data.extract import extract_crops
    from training.data.layouts import DatasetListing, balance_clips, list_clips
    from worker.detector.config import DetectorConfig

    listing = list_clips(videos, layout)
    if balance:
        listing = DatasetListing(balance_clips(listing.clips), listing.failures)
    crops, failures = extract_crops(listing, out, DetectorConfig(), shard=shard, processes=processes)
    typer.echo(f"{crops} crops; {failures} clips or rows gave none (see {out / 'failures.csv'}).")


@commands.command()
def landmarks(
    manifest: Manifest,
    model: Annotated[Path, typer.Option(help="MediaPipe's face_landmarker.task.")],
    out: Annotated[Path, typer.Option(help="File to write, for data.landmarks.", metavar="NPZ")],
    processes: Processes = _CORES,
) -> None:
    """Find the landmarks of the real faces of 'train', for the masks of pseudo-fakes."""
    from training.data.landmarks import extract_landmarks
    from training.data.manifest import load_crop_manifest

    rows = [row for row in load_crop_manifest(manifest) if row.label == 0 and row.split == "train"]
    count = extract_landmarks(rows, manifest.parent, out, model=model, processes=processes)
    typer.echo(f"{count} of {len(rows)} real faces have landmarks.")


@commands.command()
def generate(
    config: Annotated[Path, typer.Option(help="YAML file; the real faces of its training set are reconstructed.")],
    weights: Annotated[Path, typer.Option(help="Weights of the autoencoder (TAESD, FLUX.2 variant).")],
    out: Annotated[Path, typer.Option(help="Folder to write, for data.generator.", metavar="DIR")],
    settings: Annotated[int, typer.Option(min=1, help="Reconstructions per clip, each with its own setting.")] = 2,
    clips_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the clips.")] = 1.0,
    override: Annotated[list[str] | None, typer.Argument(help="NAME=VALUE, as in data.manifest=faces.csv.")] = None,
) -> None:
    """Make real faces go through a generator, for pseudo-fakes. About 0.1 s per face on one core."""
    from training.augmentation.reconstructions import ReconstructionOptions, make_reconstructions
    from training.config import load_config

    options = ReconstructionOptions(settings=settings, clips_share=clips_share)
    count = make_reconstructions(load_config(config, override or []), weights, out, options)
    typer.echo(f"{count} reconstructions. Next: train with data.generator={out} blend.generator=0.5")


@commands.command()
def preview(
    config: Annotated[Path, typer.Option(help="YAML file; see training/configs.")],
    out: Annotated[Path, typer.Option(help="Folder for one contact sheet per kind of fake.", metavar="DIR")],
    pairs: Annotated[int, typer.Option(min=1, help="Pairs per sheet.")] = 12,
    override: Annotated[list[str] | None, typer.Argument(help="NAME=VALUE, as in data.manifest=faces.csv.")] = None,
) -> None:
    """Draw pairs as the training sees them, each real above its fake, as one picture per kind of fake."""
    from training.config import load_config
    from training.trainer.preview import write_previews

    for path in write_previews(load_config(config, override or []), out, pairs=pairs):
        typer.echo(path)


@commands.command()
def pack(
    config: Annotated[Path, typer.Option(help="YAML file; its training set is packed.")],
    out: Out,
    max_mb: Annotated[
        float, typer.Option(min=0.01, help="Size limit of the images, in megabytes (2**20 bytes).")
    ] = 30.0,
    order: Annotated[str, typer.Option(help="Data sets in the order of packing; ':2': two frames per clip.")] = "*",
    box_px: Annotated[int, typer.Option(min=16, help="Width of a face box; smaller ones keep their size.")] = 112,
    override: Annotated[list[str] | None, typer.Argument(help="NAME=VALUE, as in data.manifest=faces.csv.")] = None,
) -> None:
    """Pack the training set of a configuration into a few megabytes, for a machine that has no data."""
    from training.config import load_config
    from training.data.pack import PackOptions, pack_dataset, parse_order

    options = PackOptions(max_bytes=int(max_mb * 2**20), order=parse_order(order), box_px=box_px)
    counts = pack_dataset(load_config(config, override or []), out, options)
    packed = ", ".join(f"{count} of {dataset}" for dataset, count in counts.items())
    typer.echo(f"{sum(counts.values())} images: {packed}.")
    typer.echo(f"Next: python -m training train --config {out / 'config.json'}")


@commands.command()
def train(
    config: Annotated[Path, typer.Option(help="YAML file; see training/configs.")],
    out: Out,
    override: Annotated[list[str] | None, typer.Argument(help="NAME=VALUE, as in frames.steps=100.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="Leave a data set out; 'dfdc*' is a pattern.")] = None,
) -> None:
    """Train a model, or resume its training. Several GPUs: torchrun --nproc-per-node 4 -m training train ..."""
    import json

    from training.config import load_config

    exclusion = [f"data.without={json.dumps(without)}"] if without else []
    loaded = load_config(config, [*(override or []), *exclusion])  # before torch: an error is reported at once

    from training.trainer.train import train_model

    model = train_model(loaded, out)
    typer.echo(f"{model} is trained. Next: python -m training calibrate --model {model}")


@commands.command()
def average(
    models: Annotated[list[Path], typer.Argument(help="Directories of models of one architecture.", metavar="DIR...")],
    out: Out,
    weights: Annotated[str, typer.Option(help="Weight of each model, as in 0.4,0.3,0.3; empty: equal weights.")] = "",
) -> None:
    """Average the weights of models that were trained from one start (Wortsman et al., ICML 2022)."""
    from training.release.average import average_models, parse_weights

    average_models(models, out, weights=parse_weights(weights, len(models)))
    typer.echo(f"{out} is the average of {len(models)} models. Next: python -m training calibrate --model {out}")


@commands.command()
def calibrate(
    model: Model,
    manifest: Manifest,
    clips: Annotated[
        Path | None,
        typer.Option(help="Real videos of other sources: path,label[,dataset,group]. Thresholds hold on them too."),
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="Data sets of the manifest that are not used.")] = None,
    suspicious: Annotated[float, typer.Option(help="Largest share of real clips that are SUSPICIOUS.")] = 0.05,
    manipulated: Annotated[float, typer.Option(help="Largest share of real clips that are MANIPULATED.")] = 0.01,
    missed: Annotated[float, typer.Option(help="Largest share of fake clips that are AUTHENTIC.")] = 0.1,
    processes: Processes = _CORES,
) -> None:
    """Set temperature, bias, thresholds and the weight of the Transformer, on the calibration part of 'val'."""
    from app.core.calibration import TargetRates
    from training.evaluation.calibrate import calibrate_model

    rates = TargetRates(
        suspicious_false_positive_rate=suspicious, manipulated_false_positive_rate=manipulated, clear_miss_rate=missed
    )
    done = calibrate_model(model, manifest, clips, rates, without=without or (), processes=processes)
    if aucs := done.correction_aucs:
        typer.echo(f"Sequences: AUC {aucs[0]:.3f} with the Transformer, {aucs[1]:.3f} by the mean; the better is used.")
    calibration = done.scoring.clips
    typer.echo(
        f"Calibrated on {done.predictions} predictions of {calibration.curve.real_clips} real and "
        f"{calibration.curve.fake_clips} fake clips: {calibration.thresholds.model_dump_json()}"
    )


@commands.command()
def evaluate(
    out: Out,
    manifest: Annotated[Path | None, typer.Option(help="Crops: a manifest of 'extract', or shards.")] = None,
    frames: Annotated[Path | None, typer.Option(help="Stills: path,label[,dataset,video,frame].")] = None,
    clips: Annotated[Path | None, typer.Option(help="Videos: path,label[,dataset,group].")] = None,
    model: Annotated[Path | None, typer.Option(help="Directory of a model; else the bundled one.")] = None,
    rows: Annotated[
        Literal["unseen", "all"], typer.Option(help="Rows of a manifest: those that the model never saw, or all.")
    ] = "unseen",
    only: Annotated[
        list[str] | None, typer.Option(help="Data sets of a manifest to keep; 'dfdc*' is a pattern.")
    ] = None,
    robustness: Annotated[
        bool, typer.Option(help="Also under JPEG, blur, half size, noise; videos re-encoded.")
    ] = False,
    processes: Processes = _CORES,
) -> None:
    """Measure a model. Writes report.json, report.md and plots."""
    from training.evaluation.evaluate import Evaluation, evaluate_model
    from training.evaluation.report import format_table

    inputs = [path for path in (manifest, frames, clips) if path is not None]
    if len(inputs) != 1:
        _exit_with_error("Give one of --manifest, --frames and --clips.")
    datasets = evaluate_model(
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


@commands.command()
def release(
    model: Model,
    out: Out,
    name: Annotated[str, typer.Option(help="Lower case, digits, '.', '_', '-'.")],
    version: Annotated[str, typer.Option(help="As in 1.0.0.")],
    report: Annotated[Path | None, typer.Option(help="report.json of its evaluation.")] = None,
    notes: Annotated[Path | None, typer.Option(help="Markdown for the model card.")] = None,
) -> None:
    """Verify a calibrated model and write the directory that a service runs."""
    from training.release.release import release_model

    released = release_model(model, out, name=name, version=version, report=report, notes=notes)
    typer.echo(f"{out}: {released.name} {released.version}. Next: unmask models add {out}")


def _exit_with_error(message: str) -> NoReturn:
    typer.secho(message, err=True, fg="red")
    raise SystemExit(1)


def main() -> None:
    """Run the command line; print an error that the user can fix as one line, without a traceback."""
    from training.errors import TrainingError
    from worker.detector.model.engine import EngineError
    from worker.detector.model.manifest import CheckpointError
    from worker.detector.sandbox.parent import SandboxError

    try:
        commands()
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        _exit_with_error(f"The configuration is invalid. {'; '.join(wrong)}.")
    except (CheckpointError, EngineError, SandboxError, TrainingError) as error:
        _exit_with_error(str(error))


if __name__ == "__main__":
    main()
