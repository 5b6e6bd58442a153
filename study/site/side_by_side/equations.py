r"""Equations: an expression of the code as LaTeX, name by name.

Each name becomes its symbol where it has one, and stands upright as a
word where not. What differs from one library to the next, such as
`keepdims=True`, says nothing in an equation and is left out. An expression
that has no usual sign, such as one that rearranges axes, has no equation.
"""

import ast
from collections.abc import Mapping

# What a call or a method is in an equation, by its last name.
FUNCTIONS = {
    "exp": r"\exp",
    "log": r"\ln",
    "sin": r"\sin",
    "cos": r"\cos",
    "tanh": r"\tanh",
}
REDUCTIONS = {
    "max": r"\max",
    "amax": r"\max",
    "min": r"\min",
    "sum": r"\sum",
    "argmax": r"\arg\max",
}
OPERATORS = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: r"\odot",
    ast.MatMult: r"\,",
    ast.BitAnd: r"\land",
    ast.BitOr: r"\lor",
}
COMPARISONS = {
    ast.Lt: "<",
    ast.LtE: r"\le",
    ast.Gt: ">",
    ast.GtE: r"\ge",
    ast.Eq: "=",
    ast.NotEq: r"\ne",
}
PRECEDENCE = {ast.Add: 1, ast.Sub: 1, ast.BitAnd: 0, ast.BitOr: 0}
PRODUCT, ATOM = 2, 4


class NoEquation(Exception):
    """An expression that no usual sign stands for."""


def equation_of(
    statement: ast.stmt, symbols: Mapping[str, str], calls: set[str]
) -> str | None:
    """An assignment as LaTeX; None where it has no usual signs.

    `symbols` has the LaTeX of a name; `calls` are the functions that have
    a page of their own, and so a name in an equation.
    """
    if not isinstance(statement, ast.Assign):
        return None
    (target,) = statement.targets
    if not isinstance(target, ast.Name):
        return None
    writer = Writer(symbols, calls)
    try:
        return f"{writer.name(target.id)} = {writer.write(statement.value)}"
    except NoEquation:
        return None


class Writer:
    """Writes a tree as LaTeX; `symbols` and `calls` as in `equation_of`."""

    def __init__(self, symbols: Mapping[str, str], calls: set[str]):
        self.symbols, self.calls = symbols, calls

    def name(self, name: str) -> str:
        if name in self.symbols:
            return self.symbols[name]
        inner = name.removeprefix("d_")
        if inner != name and inner in self.symbols:
            return f"d{self.symbols[inner]}"
        return rf"\text{{{name.replace('_', ' ')}}}"

    def write(self, node: ast.expr, least: int = 0) -> str:
        """An expression; in brackets where it binds less than `least`."""
        method = getattr(self, f"write_{type(node).__name__}", None)
        if method is None:
            raise NoEquation(ast.dump(node))
        latex, binding = method(node)
        return rf"\left({latex}\right)" if binding < least else latex

    def write_Name(self, node: ast.Name):
        return (r"\infty" if node.id == "inf" else self.name(node.id)), ATOM

    def write_Constant(self, node: ast.Constant):
        if isinstance(node.value, bool | str | bytes | None):
            raise NoEquation(ast.dump(node))
        return str(node.value), ATOM

    def write_Attribute(self, node: ast.Attribute):
        """A parameter, as `params.output.weight`: by its dotted name."""
        dotted = ast.unparse(node)
        root, _, rest = dotted.partition(".")
        if root not in ("params", "self"):
            raise NoEquation(dotted)
        return self.symbols.get(rest) or self.name(
            rest.removesuffix(".weight").replace(".", "_")
        ), ATOM

    def write_UnaryOp(self, node: ast.UnaryOp):
        sign = {ast.USub: "-", ast.Invert: r"\lnot "}.get(type(node.op))
        if sign is None:
            raise NoEquation(ast.dump(node))
        return sign + self.write(node.operand, PRODUCT), PRODUCT

    def write_BinOp(self, node: ast.BinOp):
        kind = type(node.op)
        if kind is ast.Div:
            above, below = self.write(node.left), self.write(node.right)
            return rf"\frac{{{above}}}{{{below}}}", ATOM
        if kind is ast.Pow:
            base, power = (
                self.write(node.left, ATOM),
                self.write(node.right),
            )
            return f"{base}^{{{power}}}", PRODUCT + 1
        if kind not in OPERATORS:
            raise NoEquation(ast.dump(node))
        binding = PRECEDENCE.get(kind, PRODUCT)
        left = self.write(node.left, binding)
        right = self.write(node.right, binding + (kind is ast.Sub))
        sign = OPERATORS[kind]
        if kind is ast.Mult and is_number(node.left):
            sign = r"\cdot" if is_number(node.right) else r"\,"
        return f"{left} {sign} {right}", binding

    def write_Compare(self, node: ast.Compare):
        (kind,) = map(type, node.ops)
        if kind not in COMPARISONS:
            raise NoEquation(ast.dump(node))
        left, (right,) = self.write(node.left, 1), node.comparators
        sides = f"{left} {COMPARISONS[kind]} {self.write(right, 1)}"
        return rf"[\,{sides}\,]", ATOM

    def write_Subscript(self, node: ast.Subscript):
        """A size is that of its axis; a row of a table has an index."""
        value, index = node.value, node.slice
        if isinstance(value, ast.Attribute) and value.attr == "shape":
            owner = ast.unparse(value.value)
            size = self.symbols.get(f"{owner}.shape[{ast.unparse(index)}]")
            if size is None:
                raise NoEquation(ast.dump(node))
            return size, ATOM
        if only_axes(index):
            return self.write(value, ATOM), ATOM
        if not isinstance(index, ast.Name):
            raise NoEquation(ast.dump(node))
        return f"{self.write(value, ATOM)}_{{{self.name(index.id)}}}", ATOM

    def write_Call(self, node: ast.Call):
        function = node.func
        if isinstance(function, ast.Attribute) and not is_library(function):
            return self.method(function.attr, function.value, node.args)
        name = getattr(function, "attr", getattr(function, "id", ""))
        if name in self.calls:
            inputs = [
                self.write(argument)
                for argument in node.args
                if not is_parameters(argument)
            ]
            title = name.replace("_", " ")
            layers = [
                rf"_{{{self.name(layer)}}}"
                for argument in node.args
                if (layer := layer_of(argument))
            ]
            return (
                rf"\text{{{title}}}{''.join(layers)}"
                rf"\left({', '.join(inputs)}\right)"
            ), ATOM
        if name == "sqrt":
            return rf"\sqrt{{{self.write(node.args[0])}}}", ATOM
        if name in FUNCTIONS:
            return (
                rf"{FUNCTIONS[name]}\left({self.write(node.args[0])}\right)"
            ), ATOM
        if name == "where" and len(node.args) == 3:
            return self.choice(*node.args), ATOM
        raise NoEquation(name)

    def choice(self, condition, yes, no) -> str:
        """One or the other, by a condition."""
        return (
            rf"\begin{{cases}} {self.write(yes)} & \text{{if }} "
            rf"{self.write(condition)} \\ {self.write(no)} & "
            r"\text{else} \end{cases}"
        )

    def method(self, name: str, value: ast.expr, arguments):
        if name in ("swapaxes", "transpose"):
            axes = {ast.unparse(argument) for argument in arguments}
            if axes != {"-1", "-2"}:
                raise NoEquation(name)
            return f"{self.write(value, ATOM)}^\\top", PRODUCT + 1
        if name in REDUCTIONS:
            sign, inner = REDUCTIONS[name], self.write(value, PRODUCT)
            return rf"{sign}_j {inner}", PRODUCT
        if name == "mean":
            return (
                rf"\frac{{1}}{{n}} \sum_j {self.write(value, 2)}",
                PRODUCT,
            )
        if name == "masked_fill":
            condition, new = arguments
            return self.choice(condition, new, value), ATOM
        raise NoEquation(name)


def is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return is_number(node.left) and is_number(node.right)
    return isinstance(node, ast.Constant)


def is_library(node: ast.Attribute) -> bool:
    """`np.exp`, not a method of an array."""
    return isinstance(node.value, ast.Name) and node.value.id in (
        *("np", "torch", "math"),
        "jnp",
    )


def layer_of(node: ast.expr) -> str:
    """Which layer parameters belong to: `query` of `params.query`."""
    root, _, rest = ast.unparse(node).rpartition(".")
    return rest if root.split(".")[0] in ("params", "self") else ""


def is_parameters(node: ast.expr) -> bool:
    """`params.output`, which no equation lists among the inputs."""
    root = ast.unparse(node).split(".")[0]
    return root in ("params", "self", "epsilon")


def only_axes(index: ast.expr) -> bool:
    """`[..., None, :, :]`: new axes, the same numbers."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return all(
        (isinstance(part, ast.Constant) and part.value in (None, Ellipsis))
        or (
            isinstance(part, ast.Slice)
            and part.lower is part.upper is part.step is None
        )
        for part in parts
    )
