"""Functions of texts; patterns are regular expressions of RE2, which both DuckDB and onnxruntime have."""

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.graph import CONTRIB, GraphBuilder
from flywheel_runtime.features.sql_types import Kind
from flywheel_runtime.features.values import Call, Compilation, Value

# The default of the operator, en_US, is in no slim image, so that the session would not start; C lowers ASCII alone.
LOCALE = "C.UTF-8"
PADDING = "\x01"  # no text has it
MAX_SUBSTRING = 16  # characters; each is a node
CASES = {"lower": "LOWER", "lcase": "LOWER", "upper": "UPPER", "ucase": "UPPER"}
LIKES = ("~~", "~~*", "!~~", "!~~*")
PREFIXES = ("starts_with", "prefix", "^@")
SUFFIXES = ("suffix", "ends_with")


def join(compilation: Compilation, call: Call) -> Value:
    """`||`, NULL where an operand is."""
    _check_texts(call)
    return call.result(_join(compilation.graph, [each.tensor for each in call.arguments]))


def concatenate(compilation: Compilation, call: Call) -> Value:
    """`concat`, which skips NULL."""
    _check_texts(call)
    graph = compilation.graph
    empty = graph.constant("", Kind.STRING)
    texts = [graph.add("Where", each.null, empty, each.tensor) if each.null else each.tensor for each in call.arguments]
    return Value(call.type, _join(graph, texts), None, call.error)


def _join(graph: GraphBuilder, texts: list[str]) -> str:
    result = texts[0]
    for text in texts[1:]:
        result = graph.add("StringConcat", result, text)
    return result


def change_case(compilation: Compilation, call: Call) -> Value:
    """`lower` and `upper`. The operator takes one dimension."""
    _check_texts(call)
    if CASES[call.name] == "UPPER":
        compilation.inexact.add(call.name)
    graph = compilation.graph
    flat = graph.add("Reshape", call.first.tensor, graph.vector([-1]))
    changed = graph.add(
        "StringNormalizer", flat, case_change_action=CASES[call.name], is_case_sensitive=1, locale=LOCALE
    )
    return call.result(graph.add("Reshape", changed, graph.vector([-1, 1])))


def like(compilation: Compilation, call: Call) -> Value:
    """LIKE and ILIKE with a literal, and their negations."""
    graph, pattern = compilation.graph, _literal(call, 1)
    translated = "".join({"%": ".*", "_": "."}.get(character) or quote(character) for character in pattern)
    flags = "si" if "*" in call.name else "s"
    matches = graph.add("RegexFullMatch", call.first.tensor, pattern=f"(?{flags}){translated}")
    return call.result(graph.negate(matches) if call.name.startswith("!") else matches)


def contains(compilation: Compilation, call: Call) -> Value:
    """`starts_with`, `suffix` and `contains` with a literal."""
    quoted = "".join(quote(character) for character in _literal(call, 1))
    before = "" if call.name in PREFIXES else ".*"
    after = "" if call.name in SUFFIXES else ".*"
    return call.result(
        compilation.graph.add("RegexFullMatch", call.first.tensor, pattern=f"(?s){before}{quoted}{after}")
    )


def match_expression(compilation: Compilation, call: Call) -> Value:
    """`regexp_matches` and `regexp_full_match` with a literal, and with the options c, i and s."""
    options = _literal(call, 2) if len(call.arguments) > 2 else ""
    if set(options) - set("cis"):
        raise ExpressionRefused(f"{call.name}() with the options '{options}' has no equal in ONNX; known ones: c, i, s")
    flags = "".join(flag for flag in "is" if flag in options)
    body = f"(?{flags}:{_literal(call, 1)})"
    pattern = body if call.name == "regexp_full_match" else f"(?s:.*){body}(?s:.*)"
    return call.result(compilation.graph.add("RegexFullMatch", call.first.tensor, pattern=pattern))


def length(compilation: Compilation, call: Call) -> Value:
    """The number of code points."""
    _check_texts(call)
    graph = compilation.graph
    is_padding = graph.add("Equal", _characters(graph, call.first.tensor, 1), graph.constant(PADDING, Kind.STRING))
    counted = graph.cast(graph.negate(is_padding), Kind.INT64)
    return call.result(graph.add("ReduceSum", counted, graph.vector([1]), keepdims=1), 0, 2**31)


def substring(compilation: Compilation, call: Call) -> Value:
    """`substr(text, start, count)` and `left(text, count)` with positive literals."""
    graph = compilation.graph
    literals = [each.literal for each in call.arguments[1:]]
    start, count = (
        (1, literals[0]) if call.name == "left" else (literals[0], literals[-1] if len(literals) == 2 else None)
    )
    if start is None or count is None or start < 1 or not 1 <= count <= MAX_SUBSTRING:
        raise ExpressionRefused(
            f"{call.name}() has an equal in ONNX for literals: a start from 1 on, and 1 to {MAX_SUBSTRING} characters"
        )
    characters = _characters(graph, call.first.tensor, start - 1 + count)
    is_padding = graph.add("Equal", characters, graph.constant(PADDING, Kind.STRING))
    characters = graph.add("Where", is_padding, graph.constant("", Kind.STRING), characters)
    return call.result(_join(graph, [graph.gather_columns(characters, [start - 1 + n]) for n in range(count)]))


def _characters(graph: GraphBuilder, text: str, least: int) -> str:
    """One column for each code point, padded to at least so many, by onnxruntime's Tokenizer."""
    padded = graph.add("StringConcat", text, graph.constant(PADDING * least, Kind.STRING))
    flat = graph.add("Reshape", padded, graph.vector([-1]))
    return graph.add("Tokenizer", flat, domain=CONTRIB, mark=0, pad_value=PADDING, separators=[""], mincharnum=1)


def quote(character: str) -> str:
    """The character as itself in a regular expression of RE2."""
    if ord(character) > 127 or character.isalnum():
        return character
    return f"\\{character}" if character.isprintable() and not character.isspace() else f"\\x{{{ord(character):x}}}"


def _literal(call: Call, place: int) -> str:
    literal = call.arguments[place].literal
    if not isinstance(literal, str) or call.first.kind is not Kind.STRING:
        raise ExpressionRefused(f"{call.name}() takes a VARCHAR and a literal pattern")
    return literal


def _check_texts(call: Call) -> None:
    if any(each.kind is not Kind.STRING for each in call.arguments):
        raise ExpressionRefused(f"{call.name}() of another type than VARCHAR has no equal in ONNX")


FUNCTIONS = {
    "||": join,
    "concat": concatenate,
    **dict.fromkeys(CASES, change_case),
    **dict.fromkeys(LIKES, like),
    **dict.fromkeys((*PREFIXES, *SUFFIXES, "contains"), contains),
    **dict.fromkeys(("regexp_matches", "regexp_full_match"), match_expression),
    **dict.fromkeys(("length", "len"), length),
    **dict.fromkeys(("substr", "substring", "left"), substring),
}
