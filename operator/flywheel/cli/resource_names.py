"""How users name objects: `flight-delay` where the kind is known, else `model/flight-delay`, as kubectl does."""

from difflib import get_close_matches

from flywheel.cli.connection import Connection
from flywheel.cli.errors import WRONG_USAGE, CommandError
from flywheel.core.resource import api
from flywheel.core.resource.api import Api, Manifest

# Every kind of Flywheel by its short name.
SHORT_NAMES = {
    "fwds": api.DATASET,
    "fwexp": api.EXPERIMENT,
    "fwpipe": api.TRAINING_PIPELINE,
    "fwrun": api.TRAINING_RUN,
    "fwver": api.MODEL_VERSION,
    "fwmodel": api.MODEL,
    "fwsvc": api.INFERENCE_SERVICE,
    "fwbatch": api.BATCH_INFERENCE,
    "fwmon": api.MODEL_MONITOR,
    "fwfs": api.FEATURE_SET,
}
APIS = tuple(SHORT_NAMES.values())
_BY_WORD = {word: each for short, each in SHORT_NAMES.items() for word in (short, each.kind.lower(), each.plural)}
_BY_WORD |= {
    f"{word}{ending}": each
    for word, each in {
        "service": api.INFERENCE_SERVICE,
        "run": api.TRAINING_RUN,
        "pipeline": api.TRAINING_PIPELINE,
        "version": api.MODEL_VERSION,
    }.items()
    for ending in ("", "s")
}
_BY_WORD |= {"monitor": api.MODEL_MONITOR, "monitors": api.MODEL_MONITOR}
_BY_WORD |= {"batch": api.BATCH_INFERENCE, "batches": api.BATCH_INFERENCE}


def parse_kind(word: str) -> Api:
    """Returns the kind of `Model`, `models`, `models.flywheel.ml` or `fwmodel`.

    Raises:
        CommandError: there is no such kind.
    """
    found = _BY_WORD.get(word.lower().removesuffix(f".{api.GROUP}"))
    if found is None:
        near = get_close_matches(word.lower(), _BY_WORD, 1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; the kinds are {', '.join(each.kind for each in APIS)}"
        raise CommandError(f"'{word}' is no kind of Flywheel{hint}", WRONG_USAGE)
    return found


def find_object(connection: Connection, name: str, *apis: Api) -> tuple[Api, Manifest]:
    """Returns the object of `KIND/NAME`, or of `NAME` where it is the only one of these kinds.

    Raises:
        CommandError: there is none, or there are several.
    """
    kind, separator, rest = name.rpartition("/")
    if separator:
        api_ = parse_kind(kind)
        if apis and api_ not in apis:
            allowed = " or ".join(each.kind for each in apis)
            raise CommandError(f"'{name}' is a {api_.kind}; name a {allowed}", WRONG_USAGE)
        return api_, connection.require(api_, rest)
    found = [(each, manifest) for each in apis or APIS if (manifest := connection.get(each, name)) is not None]
    if len(found) > 1:
        several = ", ".join(f"{each.kind.lower()}/{name}" for each, _manifest in found)
        raise CommandError(f"'{name}' is several: {several}; name one of these", WRONG_USAGE)
    if not found:
        kinds = apis[0].kind if len(apis) == 1 else "object of Flywheel"
        near = get_close_matches(
            name, [str(each["metadata"]["name"]) for one in apis or APIS for each in connection.list_objects(one)], 1
        )
        hint = f"did you mean '{near[0]}'?" if near else "'flywheel status' shows what is there"
        raise CommandError(f"namespace '{connection.namespace}' has no {kinds} '{name}'; {hint}")
    return found[0]
