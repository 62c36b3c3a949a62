"""Which columns a file has: the names in it, and those that its folders give."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from urllib.parse import unquote

from flywheel_runtime.contract.errors import Failure

NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


def read_folders(path: str) -> dict[str, str | None]:
    """The columns that the folders of a file's path give: `region=north/a.csv` is in `region` north; None is a missing value."""
    return dict(_named_folders(path))


def _named_folders(path: str) -> Iterable[tuple[str, str | None]]:
    for folder in path.split("/")[:-1]:
        name, sign, value = folder.partition("=")
        if sign and name:
            yield unquote(name), None if value == NULL_FOLDER else unquote(value)


def find_same(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that SQL takes for `name`: upper and lower case of ASCII letters count as one."""
    return next((other for other in names if _fold(other) == _fold(name)), None)


def describe_unmatched(field: str, name: str, present: Collection[str]) -> str:
    """The sentence about a name in `field` of the spec that no column of the files has, with the column that may be meant."""
    near = find_same(name, present) or next(iter(get_close_matches(name, present, n=1)), None)
    cure = f"is '{near}' meant? Correct or remove the name." if near else "correct or remove the name."
    return f"{field} names column '{name}', which the files do not have; {cure}"


def given_folders(path: str, columns: Collection[str], ignored: Collection[str]) -> dict[str, str | None]:
    """What the folders give beyond the file's own `columns`. Failure RepeatedColumn where two folders have one name."""
    folders = list(_named_folders(path))
    check_names(path, (name for name, _ in folders), ignored)
    return {name: value for name, value in folders if name not in ignored and find_same(name, columns) is None}


def doubled_folders(path: str, columns: Collection[str]) -> dict[str, str | None]:
    """The file's own columns that its folders give, too, with what the folders say."""
    own = {find_same(name, columns): value for name, value in read_folders(path).items()}
    return {name: value for name, value in own.items() if name is not None}


def check_names(file: str, names: Iterable[str], ignored: Collection[str] = ()) -> None:
    """Failure where a column has no name (HeaderInvalid), or two have one name or differ in upper and lower case alone (RepeatedColumn)."""
    seen: dict[bytes, str] = {}
    for number, name in enumerate(names, start=1):
        if name in ignored:
            continue
        if not name:
            message = f"Column {number} of file '{file}' has no name; name it or leave it out."
            raise Failure("HeaderInvalid", message)
        if _fold(name) in seen:
            raise _repeated(file, seen[_fold(name)], name)
        seen[_fold(name)] = name


def folder_differs(file: str, name: str, folder: str | None) -> Failure:
    """A file whose folder and whose own column disagree."""
    message = (
        f"File '{file}' lies in a folder that says '{name}' is '{folder}', and its own column '{name}' has other values; "
        "rename the folder or the column, or leave the column out with ignore."
    )
    return Failure("FolderColumnDiffers", message)


def _repeated(file: str, first: str, second: str) -> Failure:
    found = f"column '{first}' twice" if first == second else f"columns '{first}' and '{second}'"
    message = f"File '{file}' has {found} (upper and lower case count as one); rename one, or leave it out with ignore."
    return Failure("RepeatedColumn", message)


def _fold(name: str) -> bytes:
    return name.encode().lower()
