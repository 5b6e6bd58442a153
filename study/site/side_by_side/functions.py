"""Functions of a source file, statement by statement, with their text."""

import ast
import re
from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Statement:
    """A statement of a function: what it names, its code, its tree.

    `name` is the name that it gives, several with commas between;
    `returns` for the end, and the call for what only checks something.
    Comments that stand above it are part of its code.
    """

    name: str
    code: str
    node: ast.stmt


@dataclass(frozen=True)
class Function:
    """A function or a class's `forward`: header, docstring, statements.

    `source` is all of it as it stands in the file, the whole class.
    """

    name: str
    header: str
    docstring: str
    statements: tuple[Statement, ...]
    source: str

    @property
    def sentence(self) -> str:
        """The docstring's first sentence, or line."""
        return self.docstring.split("\n\n")[0]


def functions_of(source: str, method: str = "forward") -> list[Function]:
    """The functions of a file, in order; a class is its `method`.

    A class of that kind is named in snake case. Names that begin with an
    underscore are left out. Raises SyntaxError for a source that does not
    parse.
    """
    lines, functions = source.splitlines(), []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            functions.append(function_of(node, node, node.name, lines))
        elif isinstance(node, ast.ClassDef):
            name = snake_case(node.name)
            functions += [
                function_of(part, node, name, lines)
                for part in node.body
                if isinstance(part, ast.FunctionDef) and part.name == method
            ]
    return [f for f in functions if not f.name.startswith("_")]


def snake_case(name: str) -> str:
    """A class's name as that of a function.

    >>> snake_case("MultiHeadAttention")
    'multi_head_attention'
    >>> snake_case("RMSNorm")
    'rms_norm'
    """
    return re.sub(r"(?<=\w)(?=[A-Z][a-z])", "_", name).lower()


def function_of(
    node: ast.FunctionDef,
    whole: ast.FunctionDef | ast.ClassDef,
    name: str,
    lines: list[str],
) -> Function:
    """A function, cut into its header and its statements.

    `whole` is the function itself, or the class that it is a method of.
    """
    docstring = ast.get_docstring(node) or ""
    body = node.body[1:] if docstring else node.body
    header = "\n".join(lines[node.lineno - 1 : node.body[0].lineno - 1])
    first = node.body[0]
    begin = first.end_lineno if docstring else first.lineno - 1
    statements = []
    for part in body:
        code = dedent("\n".join(lines[begin : part.end_lineno]))
        statements.append(Statement(name_of(part), code.strip("\n"), part))
        begin = part.end_lineno
    return Function(
        name,
        dedent(header),
        docstring,
        tuple(statements),
        source_of(whole, lines),
    )


def source_of(
    node: ast.FunctionDef | ast.ClassDef, lines: list[str]
) -> str:
    """The text of a definition, its decorators included."""
    first = min([node, *node.decorator_list], key=lambda part: part.lineno)
    return "\n".join(lines[first.lineno - 1 : node.end_lineno]) + "\n"


def name_of(node: ast.stmt) -> str:
    """The name that a statement gives to something."""
    if isinstance(node, ast.Return):
        return "returns"
    if isinstance(node, ast.Expr):
        return ast.unparse(getattr(node.value, "func", node.value))
    targets = [
        target
        for part in ast.walk(node)
        for target in targets_of(part)
        if not isinstance(part, ast.comprehension)
    ]
    names = dict.fromkeys(
        name.id
        for target in targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    )
    return ", ".join(names) or type(node).__name__.lower()


def targets_of(node: ast.AST) -> list[ast.expr]:
    """What an assignment or a loop gives a value to."""
    if isinstance(node, ast.Assign):
        return node.targets
    single = (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)
    return [node.target] if isinstance(node, single) else []
