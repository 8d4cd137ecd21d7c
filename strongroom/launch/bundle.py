"""The request of ``POST /v1/bundle``, ``/v1/plan`` and ``/v1/check``: what one launch asks the bridge for.

    {"entries": [{"name": "DB_URL", "parts": ["postgres://app:", {"path": "kv/shop/db", "key": "password"}, "@db"]}],
     "from_path": [{"path": "kv/shop/env"}],
     "exclude": ["HOME", "PATH"]}

A part is a string or a reference ``{"path", "key", "version"?, "filter"?, "optional"?, "default"?}``. The value of an
entry is its parts in a row; the bridge joins them, so that the wrapper never holds a value. Each key of a ``from_path``
becomes a variable of its own, unless an entry or ``exclude`` names it; its options are those of ``whole_path.py``, with
lists of patterns for ``include`` and ``exclude``. The answer to a bundle is a region image, the answer to a plan or a
check a JSON object. Pure: both sides build and check requests with this module.

An entry with ``"as": "file"`` is delivered as a file. ``"decode": "base64"`` beside it has the bridge decode what the
references give, but neither texts nor defaults. Where the file goes is the wrapper's business and not in the request.
If there is any such entry, the answer has another media type and holds, in this order, names and sizes of the files,
the region image with the variables, and the files' bytes; ``strongroom/launch/answer.py`` has the layout.
"""

from strongroom.errors import OTHER_VERSION, ConfigError, MisuseError
from strongroom.launch.reference import Reference, is_env_name

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is not imported at run time: the wrapper would pay for it at every launch
    from typing import TypeVar

    from strongroom.launch.whole_path import FromPath

    T = TypeVar("T")

BUNDLE_URL_PATH = "/v1/bundle"
PLAN_URL_PATH = "/v1/plan"
CHECK_URL_PATH = "/v1/check"
REGION_MEDIA_TYPE = "application/vnd.strongroom.region"
FILES_MEDIA_TYPE = "application/vnd.strongroom.files"  # strongroom/launch/answer.py

# A reference of 25 bytes becomes an audit record that says the name again, too: what one request costs is to stay in
# proportion to its size. The most that is in use anywhere is some hundreds of references, with names of 100 characters.
MAX_NAME_CHARS = 256
MAX_REFERENCES = 8_000
MAX_PARTS = 64
MAX_FROM_PATHS = 64


class Entry:
    """One variable and the parts that make up its value, or the content of the file that it names.

    Attributes:
        name: of the variable.
        parts: texts and references, in a row.
        as_file: whether they make a file.
        decode: whether what the references give is base64, to be decoded; for files only.
    """

    __slots__ = ("as_file", "decode", "name", "parts")

    def __init__(self, name: str, parts: list[str | Reference], *, as_file: bool = False, decode: bool = False) -> None:
        """Check the name and that there is at least one reference.

        Raises:
            ConfigError: the name cannot be a variable or is too long, the parts hold no reference or are too many, or a
                text is not UTF-8.
        """
        if not is_env_name(name):
            msg = f"{name[:100]!r}: is not the name of a variable"
            raise ConfigError(msg, hint="letters, digits and _ may appear in it, no digit first")
        if len(name) > MAX_NAME_CHARS:
            msg = f"{name[:100]}…: has {len(name)} characters; the name of a secret has at most {MAX_NAME_CHARS}"
            raise ConfigError(msg, hint="give the variable a shorter name, or have a file made of its template")
        if not any(isinstance(part, Reference) for part in parts) or len(parts) > MAX_PARTS:
            msg = f"{name}: must have 1 to {MAX_PARTS} parts and a reference among them"
            raise ConfigError(msg, hint="split the text into several variables, or use a template file")
        if not all(_is_utf8(part if isinstance(part, str) else part.default or "") for part in parts):
            msg = f"{name}: the text around its references, or a default, is not UTF-8"
            raise ConfigError(msg, hint="write it in UTF-8; binary values are for files with decode=base64")
        if decode and not as_file:
            raise ConfigError(f"{name}: only a file can be decoded", hint="write NAME=file(decode=base64):bao:PATH#KEY")
        self.name = name
        self.parts = parts
        self.as_file = as_file
        self.decode = decode

    @property
    def references(self) -> list[Reference]:
        """The references among the parts."""
        return [part for part in self.parts if isinstance(part, Reference)]

    @property
    def may_be_absent(self) -> bool:
        """Whether the whole variable is left out when its secret is missing: one optional reference without default."""
        return len(self.parts) == 1 and all(ref.optional and ref.default is None for ref in self.references)


def _is_utf8(text: str) -> bool:
    """Return whether a string has a UTF-8 form; lone surrogates, from a foreign environment or from JSON, have none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class BundleRequest:
    """All that one launch asks for."""

    __slots__ = ("entries", "exclude", "from_paths")

    def __init__(self, entries: list[Entry], from_paths: "list[FromPath]", exclude: frozenset[str]) -> None:
        """Check that no variable is asked for twice and that it is not too much.

        Raises:
            ConfigError: a name occurs twice, or there are too many references or paths.
        """
        names: set[str] = set()
        for entry in entries:
            if entry.name in names:
                raise ConfigError(f"{entry.name}: asked for twice", hint="name each variable once")
            names.add(entry.name)
        references = sum(isinstance(part, Reference) for entry in entries for part in entry.parts)
        if references > MAX_REFERENCES or len(from_paths) > MAX_FROM_PATHS:
            msg = f"{references} references and {len(from_paths)} whole paths in one launch; at most "
            msg += f"{MAX_REFERENCES} and {MAX_FROM_PATHS} are taken"
            raise ConfigError(msg, hint="take all keys of a path at once with STRONGROOM_FROM_PATH")
        self.entries = entries
        self.from_paths = from_paths
        self.exclude = exclude

    @property
    def has_files(self) -> bool:
        """Whether any entry is a file, which makes the answer one of FILES_MEDIA_TYPE."""
        return any(entry.as_file for entry in self.entries)


def encode_request(request: BundleRequest) -> bytes:
    """Write a request as JSON."""
    document: dict[str, object] = {"entries": [_encode_entry(entry) for entry in request.entries]}
    if request.from_paths:
        document["from_path"] = [source.to_document() for source in request.from_paths]
        document["exclude"] = sorted(request.exclude)
    return _json_text(document).encode("ascii")


def _json_text(value: object) -> str:
    """Return what ``json.dumps(value, separators=(",", ":"))`` does, for all that a request is made of."""
    match value:
        case str():
            return _quoted(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case list():
            return f"[{','.join(map(_json_text, value))}]"
        case dict():
            return f"{{{','.join([f'{_quoted(name)}:{_json_text(member)}' for name, member in value.items()])}}}"
    raise MisuseError(f"a request holds no {type(value).__name__}")


def _quoted(text: str) -> str:
    """Return a JSON string. What has nothing to escape, as nearly all that a launch asks for, needs no module."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    from _json import encode_basestring_ascii  # noqa: PLC0415 - json imports re and a decoder, in 4 ms

    return encode_basestring_ascii(text)


def _encode_entry(entry: Entry) -> dict[str, object]:
    document: dict[str, object] = {"name": entry.name, "parts": [_encode_part(part) for part in entry.parts]}
    if entry.as_file:
        document["as"] = "file"
    if entry.decode:
        document["decode"] = "base64"
    return document


def _encode_part(part: str | Reference) -> object:
    if isinstance(part, str):
        return part
    document: dict[str, object] = {"path": part.path, "key": part.key}
    if part.version:
        document["version"] = part.version
    if part.filter_name:
        document["filter"] = part.filter_name
    if part.default is not None:
        document["default"] = part.default
    elif part.optional:
        document["optional"] = True
    return document


def decode_request(body: bytes) -> BundleRequest:
    """Read a request, refusing whatever this version does not know.

    Raises:
        ConfigError: the body is not such a document; the message names the place.
    """
    import json  # noqa: PLC0415 - a launch encodes, and decodes nothing

    try:
        document = json.loads(body.decode(), object_pairs_hook=_members)  # UTF-8 only (RFC 8259, section 8.1)
    except (ValueError, RecursionError):
        raise ConfigError("the request is not JSON", hint=OTHER_VERSION) from None
    fields = _object(
        document, "the request", required=frozenset(), optional=frozenset({"entries", "from_path", "exclude"})
    )
    entries = [
        _decode_entry(item, f"entries[{i}]") for i, item in enumerate(_list(fields.get("entries", []), "entries"))
    ]
    from_paths = [
        _decode_from_path(item, f"from_path[{i}]")
        for i, item in enumerate(_list(fields.get("from_path", []), "from_path"))
    ]
    exclude = [_typed(name, str, "exclude") for name in _list(fields.get("exclude", []), "exclude")]
    return BundleRequest(entries, from_paths, frozenset(exclude))


def _decode_from_path(item: object, place: str) -> "FromPath":
    from strongroom.launch.whole_path import KEEP, REFUSE, FromPath  # noqa: PLC0415 - a launch encodes, and decodes nothing

    options = frozenset({"optional", "names", "prefix", "case", "include", "exclude"})
    source = _object(item, place, required=frozenset({"path"}), optional=options)
    include, exclude = (
        tuple(
            _typed(pattern, str, f"{place}.{member}") for pattern in _list(source.get(member, []), f"{place}.{member}")
        )
        for member in ("include", "exclude")
    )
    return FromPath(
        _typed(source["path"], str, f"{place}.path"),
        optional=_typed(source.get("optional", False), bool, f"{place}.optional"),
        names=_typed(source.get("names", REFUSE), str, f"{place}.names"),
        prefix=_typed(source.get("prefix", ""), str, f"{place}.prefix"),
        case=_typed(source.get("case", KEEP), str, f"{place}.case"),
        include=include,
        exclude=exclude,
    )


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object of its members; two of one name would let two readers see two requests."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ConfigError("the request has an object with two members of one name", hint=OTHER_VERSION)
    return members


def _decode_entry(item: object, place: str) -> Entry:
    fields = _object(item, place, required=frozenset({"name", "parts"}), optional=frozenset({"as", "decode"}))
    for member, only in (("as", "file"), ("decode", "base64")):
        if member in fields and fields[member] != only:
            raise ConfigError(f"{place}.{member}: must be {only}", hint=OTHER_VERSION)
    parts = [_decode_part(part, f"{place}.parts") for part in _list(fields["parts"], f"{place}.parts")]
    name = _typed(fields["name"], str, f"{place}.name")
    return Entry(name, parts, as_file="as" in fields, decode="decode" in fields)


def _decode_part(part: object, place: str) -> str | Reference:
    if isinstance(part, str):
        return part
    options = frozenset({"version", "filter", "optional", "default"})
    fields = _object(part, place, required=frozenset({"path", "key"}), optional=options)
    default = fields.get("default")
    return Reference(
        _typed(fields["path"], str, f"{place}.path"),
        _typed(fields["key"], str, f"{place}.key"),
        version=_typed(fields.get("version", 0), int, f"{place}.version"),
        optional=_typed(fields.get("optional", False), bool, f"{place}.optional"),
        default=None if default is None else _typed(default, str, f"{place}.default"),
        filter_name=_typed(fields.get("filter", ""), str, f"{place}.filter"),
    )


def _object(value: object, place: str, *, required: frozenset[str], optional: frozenset[str]) -> dict[str, object]:
    if not isinstance(value, dict) or not required <= value.keys() or value.keys() - required - optional:
        wanted = ", ".join(sorted(required) + [f"{name}?" for name in sorted(optional)])
        raise ConfigError(f"{place}: must be an object with {wanted}", hint=OTHER_VERSION)
    return value


def _list(value: object, place: str) -> list[object]:
    if not isinstance(value, list):
        raise ConfigError(f"{place}: must be a list", hint=OTHER_VERSION)
    return value


def _typed(value: object, kind: "type[T]", place: str) -> "T":
    if type(value) is not kind:  # not isinstance: True is an int
        raise ConfigError(f"{place}: must be of type {kind.__name__}", hint=OTHER_VERSION)
    return value
