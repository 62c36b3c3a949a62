"""Expressions that Hypothesis composes of exact functions."""

from functools import partial

from hypothesis import strategies as st

Sql = st.SearchStrategy[str]


def fill(template: str, operands: tuple[str, ...]) -> str:
    return template.format(*operands)


def form(template: str, *operands: Sql) -> Sql:
    """The template with an operand in each place."""
    return st.tuples(*operands).map(partial(fill, template))


def choose(templates: list[str], *operands: Sql) -> Sql:
    return st.one_of(*(form(template, *operands) for template in templates))


TIMES = st.sampled_from(["ts", "tt", "ts + INTERVAL 5 HOUR", "date_trunc('month', tt)", "dt::TIMESTAMP"])


def integers() -> Sql:
    binary = [f"({{}} {operator} {{}})" for operator in ("+", "-", "*", "//", "%")]
    return st.one_of(
        st.sampled_from(["i", "j", "v", "p", "n"]),
        st.sampled_from([f"({number})" for number in range(-9, 10)]),
        choose(
            [*binary, "coalesce({}, {})", "nullif({}, {})", "greatest({}, {})", "least({}, {})"], INTEGERS, INTEGERS
        ),
        choose(["(-{})", "abs({})", "TRY({})", "sign({})"], INTEGERS),
        choose(["year({})", "hour({})", "dayofweek({})", "month({})", "week({})", "dayofyear({})"], TIMES),
        form("date_diff('day', {}, {})", TIMES, TIMES),
        form("length({})", TEXTS),
        choose(["({})::INTEGER", "round({})::BIGINT", "TRY_CAST({} AS TINYINT)"], NUMBERS),
        form("({})::INTEGER", CONDITIONS),
        form("CASE WHEN {} THEN {} ELSE {} END", CONDITIONS, INTEGERS, INTEGERS),
        form("CASE WHEN {} THEN {} WHEN {} THEN {} END", CONDITIONS, INTEGERS, CONDITIONS, INTEGERS),
    )


def numbers() -> Sql:
    return st.one_of(
        st.sampled_from(["a", "b", "f", "d", "e", "big", "1.5", "0.1::DOUBLE", "'nan'::DOUBLE"]),
        INTEGERS,
        choose([f"({{}} {operator} {{}})" for operator in ("+", "-", "*")], NUMBERS, NUMBERS),
        form("({} / nullif({}, 0))", NUMBERS, NUMBERS),  # a quotient by zero shows the zero's sign, which may differ
        choose(["abs({})", "floor({})", "ceil({})", "round({})", "({})::DOUBLE", "({})::FLOAT"], NUMBERS),
        choose(["sqrt(({})::DOUBLE)", "round(({})::DOUBLE, 2)"], NUMBERS),
        choose(["coalesce({}, {})", "nullif({}, {})", "greatest({}, {})", "least({}, {})"], NUMBERS, NUMBERS),
        form("CASE WHEN {} THEN {} ELSE {} END", CONDITIONS, NUMBERS, NUMBERS),
        form("epoch({})", TIMES),
    )


def conditions() -> Sql:
    comparisons = [f"({{}} {operator} {{}})" for operator in ("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM")]
    return st.one_of(
        st.sampled_from(["k", "l"]),
        choose(comparisons, NUMBERS, NUMBERS),
        choose(["({} AND {})", "({} OR {})"], CONDITIONS, CONDITIONS),
        form("(NOT {})", CONDITIONS),
        choose(["({} IS NULL)", "isnan(({})::DOUBLE)"], NUMBERS),
        form("({} IN (1, {}, 3))", INTEGERS, INTEGERS),
        choose(["({} IN ('a', 'abc', ''))", "({} LIKE 'a%')", "regexp_matches({}, 'b|^$')", "({} IS NOT NULL)"], TEXTS),
        form("({} = {})", TEXTS, TEXTS),
        form("({} < {})", TIMES, TIMES),
    )


def texts() -> Sql:
    return st.one_of(
        st.sampled_from(["s", "u", "'abc'", "''"]),
        choose(["({} || {})", "coalesce({}, {})"], TEXTS, TEXTS),
        form("concat({}, {})", TEXTS, INTEGERS),
        form("CASE WHEN {} THEN {} ELSE {} END", CONDITIONS, TEXTS, TEXTS),
        choose(["substr({}, 1, 2)", "lower({})"], TEXTS),
        form("({})::VARCHAR", CONDITIONS),
    )


INTEGERS: Sql = st.deferred(integers)
NUMBERS: Sql = st.deferred(numbers)
CONDITIONS: Sql = st.deferred(conditions)
TEXTS: Sql = st.deferred(texts)
EXPRESSIONS = st.one_of(NUMBERS, CONDITIONS, TEXTS, INTEGERS)
