"""`batch-plan`: what will be scored, checked as far as it can be before the first row, and frozen."""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from flywheel_runtime.commands.batch.batch_step import Report, Step
from flywheel_runtime.commands.batch.config import BatchConfig
from flywheel_runtime.commands.batch.features.looked_up import add_stand_ins
from flywheel_runtime.commands.batch.features.pinned_sets import PinnedSets, looked_up_sets, read_pinned_sets
from flywheel_runtime.commands.batch.inference import predictions, row_independence
from flywheel_runtime.commands.batch.inference.client import Client, Tensor
from flywheel_runtime.commands.batch.inference.model_inputs import match, read_tensors
from flywheel_runtime.commands.batch.reading import Head, Piece, Slice
from flywheel_runtime.commands.batch.reading.choice import FORMATS
from flywheel_runtime.commands.batch.reading.columns import describe_cells, unify_types
from flywheel_runtime.commands.batch.scoring_plan import FILE, Plan, shards
from flywheel_runtime.commands.batch.storage import output_manifest
from flywheel_runtime.commands.batch.storage.locations import File, Source, open_output, open_source
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import log_line
from flywheel_runtime.datasets.formats.column_names import describe_unmatched
from flywheel_runtime.datasets.source import check_form, detect_format
from flywheel_runtime.datasets.sql import connect
from flywheel_runtime.datasets.types import SQL_TYPE
from flywheel_runtime.store import installation
from flywheel_runtime.store.retry import Retry

MAX_PARALLEL_READS = 8  # files looked at side by side
DEFAULT_SHARD_BYTES, MIN_SHARD_BYTES = 64 << 20, 4 << 20  # bytes of a shard
MAX_SHARDS = 1000
MAX_WARNING = 1000  # characters, as status holds them
MAX_CALL_BYTES, MAX_CALL_ROWS = 4 << 20, 4096  # the server takes 10,000 rows in a request


def plan(step: Step) -> tuple[Plan, Report]:
    """Freezes the plan as an artifact, whose digest is in the report; it is repeated where its output is there. Failure says what stands in the way."""
    output = open_output(step.config, step.env)
    output_manifest.probe(output)
    source = open_source(step.config, step.paths, step.env)
    frozen, warning = _frozen(step, source)
    done = output_manifest.present(output)
    facts = {"shards": len(frozen.shards), "rows": frozen.rows, "plan": _store_plan(step, frozen), "id": frozen.id}
    if warning:
        facts["warning"] = warning
    if done is not None and done.get("plan") == frozen.id:
        counts = {name: float(done.get(name) or 0) for name in ("rows", "errors")}
        return frozen, Report(counts, {**facts, "manifest": output_manifest.uri(output)}, repeated=True)
    if done is not None and not step.config.output.overwrite:
        words = f"'{output_manifest.uri(output)}' says that {done.get('rows')} rows of other inputs or another model are there"
        cure = "choose another spec.output.s3.uri, remove that file, or set spec.output.overwrite"
        raise Failure("OutputExists", f"{words}; {cure}")
    return frozen, Report({"rows": float(frozen.rows), "files": float(len(frozen.files))}, facts)


@dataclass(frozen=True)
class Table:
    """The input as it is: files, and for each of them what it says of itself and where it can be cut."""

    format: str
    files: list[File]
    heads: list[Head]
    slices: list[list[Slice]]
    most: int  # shards
    unmatched_ignores: list[str]


def _frozen(step: Step, source: Source) -> tuple[Plan, str]:
    """The plan, and a warning about fields of the spec that have no effect, empty if all have."""
    config = step.config
    sets = read_pinned_sets(step)
    with step.client as client:
        inputs, declared = client.signature()
        outputs = [output for output in declared if output.shape]
        if scalars := [output.name for output in declared if not output.shape]:
            log_line(f"left out, since they have no row for each row: {', '.join(scalars)}")
        table = _table(config, source, inputs, sets)
        rows_per_call = 1 if _rows_mix(step, client, source, table, inputs, sets) else _rows_per_call(inputs, config)
    found = shards(table.slices, table.most)
    rows = sum(part.rows for parts in table.slices for part in parts)
    log_line(f"{len(table.files)} files, {rows} rows, {len(found)} shards, {rows_per_call} rows in a call")
    heads = tuple(dict.fromkeys(table.heads))
    included = _included(config, table, sets)
    chosen = predictions.choose(
        outputs, config.output.prediction, _classes(step.paths.inputs / "model" / "signature.json")
    )
    _check_names([name for name, _ in included] + [answer.name for answer in chosen])
    plan = Plan(
        output=config.output.s3.uri,
        model=config.model.digest,
        format=table.format,
        output_format=config.output.format,
        features=config.input.features,
        csv=config.input.csv.model_dump(exclude_defaults=True, mode="json"),
        ignored=tuple(sorted(config.input.ignore)),
        files=tuple((file, heads.index(head)) for file, head in zip(table.files, table.heads, strict=True)),
        heads=heads,
        included=included,
        answers=tuple(chosen),
        rows_per_call=rows_per_call,
        shards=tuple(found),
        feature_sets=looked_up_sets(config),
    )
    return plan, _describe_ineffective(config, table, inputs, sets)


def _describe_ineffective(config: BatchConfig, table: Table, inputs: tuple[Tensor, ...], sets: PinnedSets) -> str:
    columns = list(dict.fromkeys(name for head in table.heads for name in head.columns))
    found = [describe_unmatched("spec.input.ignore", name, columns) for name in table.unmatched_ignores]
    if config.input.features and len(inputs) > 1:
        found.append(
            f"spec.input.features has no effect: the model has {len(inputs)} inputs, each of which takes the column of its name; remove it."
        )
    asked = [each.definition.name for each in sets.sets]
    for unused in (each.name for each in config.feature_sets if each.name not in asked):
        found.append(
            f"spec.features looks up nothing in FeatureSet '{unused}': the model takes none of the features that are looked up there."
        )
    for finding in found:
        log_line(f"warning: {finding}")
    return " ".join(found)[:MAX_WARNING]


def _table(config: BatchConfig, source: Source, inputs: tuple[Tensor, ...], sets: PinnedSets) -> Table:
    """Failure where it does not fit the model."""
    files = source.files()
    name = detect_format([file.path for file in files], config.input.format, "spec.input.format")
    form = config.input.form
    check_form(name, form, "spec.input")
    reader = FORMATS[name]
    with ThreadPoolExecutor(MAX_PARALLEL_READS) as pool:
        heads = list(pool.map(lambda file: reader.head(source, file, form), files))
        for file, head in zip(files, heads, strict=True):
            _check_columns(config, inputs, file, head, sets)
        size = sum(file.size for file in files)
        most = _most_shards(config, size)
        every = max(1, ceil(size / most))
        slices = list(pool.map(lambda file, head: reader.slices(source, file, head, every), files, heads))
    if not any(slices):
        raise Failure("NoRows", f"'{source.name}' has no rows; write rows or correct spec.input", retry=True)
    return Table(name, files, heads, slices, most, form.unmatched_ignores())


def _rows_mix(
    step: Step, client: Client, source: Source, table: Table, inputs: tuple[Tensor, ...], sets: PinnedSets
) -> bool:
    """Asked with the first rows of the input. What will be looked up has a stand-in."""
    at = next(at for at, parts in enumerate(table.slices) if parts)
    file, head = table.files[at], table.heads[at]
    form = step.config.input.form
    columns = (*head.all_columns(file, form), *sets.features)
    features = match(inputs, step.config.input.features, columns, file.path)
    names = tuple(dict.fromkeys(name for each in features for name in each.columns))
    piece = Piece(source, file, head, table.slices[at][0], names)
    with connect(threads=1) as connection, tempfile.TemporaryDirectory(dir=step.scratch) as folder:
        chunks = FORMATS[table.format].chunks(connection, piece, form, Path(folder))
        chunk = next((chunk for chunk in chunks if len(chunk)), None)
        if chunk is None:
            return False
        cells = {**describe_cells(table.format, head, names, form), **sets.cells}
        rows = add_stand_ins(connection, chunk.rows, sets.features) if sets.features else chunk.rows
        feeds, wrong = read_tensors(connection, rows, features, cells)
        chunks.close()  # type: ignore[attr-defined]  # the file with holes goes
    good = [at for at in range(len(chunk)) if at not in wrong][: row_independence.COMPARED_ROWS]
    return bool(good) and row_independence.rows_mix(client, features, {name: feeds[name][good] for name in feeds})


def _check_columns(config: BatchConfig, inputs: tuple[Tensor, ...], file: File, head: Head, sets: PinnedSets) -> None:
    own = head.all_columns(file, config.input.form)
    sets.check_columns(file.path, own, head)
    columns = (*own, *sets.features)
    match(inputs, config.input.features, columns, file.path, sets.owners)
    missing = [name for name in config.output.include if name not in columns]
    if missing:
        words = f"file '{file.path}' has no column '{missing[0]}', which spec.output.include names"
        shown = ", ".join(f"'{name}'" for name in columns[:10])
        raise Failure("ColumnsMissing", f"{words}; it has {shown}")


def _most_shards(config: BatchConfig, size: int) -> int:
    if config.shards is not None:
        return config.shards
    return max(
        1, min(MAX_SHARDS, max(ceil(size / DEFAULT_SHARD_BYTES), min(config.parallelism, ceil(size / MIN_SHARD_BYTES))))
    )


def _included(config: BatchConfig, table: Table, sets: PinnedSets) -> tuple[tuple[str, str], ...]:
    """Names and types: as Parquet states them (the type that holds those of all files), JSON from JSON to JSON, else text."""
    features = {name: SQL_TYPE[kind] for name, kind in sets.features.items()}
    if table.format == "JSONL" and config.output.format == "JSONL":
        own = {name: "JSON" for head in table.heads for name in head.columns}
        types = {name: (own | features).get(name, "VARCHAR") for name in config.output.include}
    else:
        stated = {name: unify_types([head.type_of(name) for head in table.heads]) for name in config.output.include}
        types = {name: features.get(name, kind) for name, kind in stated.items()}
    return tuple(types.items())


def _check_names(names: list[str]) -> None:
    twice = next((name for name in names if [each.lower() for each in names].count(name.lower()) > 1), None)
    if twice is not None:
        words = f"the output would have two columns '{twice}'"
        raise Failure("ColumnsDiffer", f"{words}; take it out of spec.output.include or rename it")


def _rows_per_call(inputs: tuple[Tensor, ...], config: BatchConfig) -> int:
    """As many as the server surely takes; 1 where the model's first axis is fixed."""
    if any(each.shape[:1] != (-1,) for each in inputs):
        return 1
    width = sum(8 * (len(config.input.features) or max(each.shape[-1], 1)) for each in inputs)
    return max(1, min(MAX_CALL_ROWS, MAX_CALL_BYTES // width))


def _classes(path: Path) -> list[str]:
    """Of signature.json, which not every artifact has."""
    found = json.loads(path.read_bytes()).get("classes") if path.is_file() else None
    return [str(each) for each in found or ()]


def _store_plan(step: Step, frozen: Plan) -> str:
    """The plan as an artifact of the namespace's store; its digest."""
    store = installation.open_store(step.env, Retry())
    with (
        installation.translate_errors(step.env, store, failed="UploadFailed"),
        tempfile.TemporaryDirectory(dir=step.scratch) as folder,
    ):
        path = Path(folder) / FILE
        path.write_bytes(frozen.encode())
        return store.put([(FILE, path)]).digest
