"""From readings to variables and files: joins parts, applies optional and default. Pure.

Lists what failed and what to record.
"""

import dataclasses
import enum
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.audit import MAX_DENIED_RECORDS, AuditRecord, Decision, summed_up
from strongroom.errors import DeniedError, NotFoundError, PeerError, StrongroomError, UndeliverableError
from strongroom.launch.bundle import MAX_NAME_CHARS, BundleRequest, Entry
from strongroom.launch.filters import filtered, filtered_bytes, most_filtered_bytes
from strongroom.launch.problem import DENIED, MISSING, UNDELIVERABLE, Failure
from strongroom.launch.reference import FILTERS, Reference, is_env_name
from strongroom.launch.region import MAX_ENTRIES
from strongroom.launch.whole_path import FromPath, spell_pattern
from strongroom.names import steers_the_process
from strongroom.openbao.kv import Reading, decode_base64, value_bytes
from strongroom.service.edges import cause_of

_TOLD_KEYS = 100  # of whole paths that cannot be variables: of how many it is said why, as the texts are long
_KEY_CHARS = 4 << 20  # of whole paths, for policy and patterns to look at: a region of long names has as many
_PATH_CHARS = 8 << 20  # of whole paths, once for each of their keys: so often the audit has them
_NO_CHARACTER = "\0"  # in no pattern of a policy
_PATTERNS_AND_GRANTS = (
    "they can be left out by whole names (exclude=), or by include= where each pattern lies within one of the policy"
)
_UTF8_BYTES = 2  # of a string, at most, for each of its bytes in memory


class Place(NamedTuple):
    """One thing to read: a path and a version, 0 for the newest."""

    path: str
    version: int


Outcomes = Mapping[Place, Reading | StrongroomError]
Require = Callable[[str, str], None]


def reads_of(request: BundleRequest) -> dict[Place, frozenset[str] | None]:
    """Return what must be read, each once, and the keys that are wanted of it, or None for all."""
    wanted: dict[Place, set[str]] = {}
    for entry in request.entries:
        for ref in entry.references:
            wanted.setdefault(Place(ref.path, ref.version), set()).add(ref.key)
    whole = dict.fromkeys(Place(source.path, 0) for source in request.from_paths)
    return {place: frozenset(keys) for place, keys in wanted.items()} | whole


def most_bytes(request: BundleRequest, outcomes: Outcomes) -> int:
    """Return what the values of a request may have together, at most."""
    size = 0
    for entry in request.entries:
        for part in entry.parts:
            if isinstance(part, str):
                size += len(part.encode())
                continue
            found = outcomes[Place(part.path, part.version)]
            value = found.data.get(part.key) if isinstance(found, Reading) else None
            made = _UTF8_BYTES * sys.getsizeof(value if value is not None else part.default)
            size += most_filtered_bytes(part.filter_name, made)
    for source in request.from_paths:
        found = outcomes[Place(source.path, 0)]
        size += _UTF8_BYTES * found.size_bytes if isinstance(found, Reading) else 0
    return size


@dataclass
class Resolution:
    """What came of a request.

    Attributes:
        entries: variables and values, in the order of the request. Never shown.
        files: variables and the contents of the files that they name. Never shown.
        failures: what stops the bundle; if there are any, nothing may be handed over.
        records: one for each secret.
        unavailable: the error of a read that gave no answer, or None.
        entry_sizes: bytes of each variable, its name included, and of those that were too many to be kept in entries.
        file_sizes: bytes of each file, likewise.
        path_ends: how many records and failures there were after each whole path.
    """

    entries: list[tuple[str, bytes]] = field(default_factory=list, repr=False)
    files: list[tuple[str, bytes]] = field(default_factory=list, repr=False)
    failures: list[Failure] = field(default_factory=list)
    records: list[AuditRecord] = field(default_factory=list)
    unavailable: PeerError | None = None
    entry_sizes: dict[str, int] = field(default_factory=dict)
    file_sizes: dict[str, int] = field(default_factory=dict)
    path_ends: list[tuple[int, int]] = field(default_factory=list)

    def withheld_records(self) -> list[AuditRecord]:
        """Return the records for a bundle that is not handed over."""
        return [
            dataclasses.replace(record, decision=Decision.WITHHELD, reason="another secret of the request failed")
            if record.decision is Decision.ALLOWED
            else record
            for record in self.records
        ]


@dataclass(frozen=True)
class Subject:
    """What a record or a failure is about: the variable or "", the path, the key or "" for a whole path."""

    name: str
    path: str
    key: str


class Absence(enum.Enum):
    """Why a part has no bytes."""

    MISSING = enum.auto()  # and optional
    FAILED = enum.auto()  # noted among the failures


def resolve(request: BundleRequest, outcomes: Outcomes, require: Require, *, kept_bytes: int) -> Resolution:
    """Make the variables of a request.

    A request may refer to one large secret again and again, so values are only counted once they are too many.

    Args:
        request: what was asked for; the policy has allowed its references.
        outcomes: the reading or the error of each of ``reads_of(request)``.
        require: the policy, for the keys of whole paths; raises DeniedError.
        kept_bytes: of values, at least as many as are ever delivered.
    """
    resolver = _Resolver(outcomes, require, kept_bytes)
    for entry in request.entries:
        resolver.add_entry(entry)
    taken = {entry.name for entry in request.entries} | request.exclude
    for source in request.from_paths:
        resolver.add_path(source, taken)
        resolver.result.path_ends.append((len(resolver.result.records), len(resolver.result.failures)))
    return resolver.result


class _Resolver:
    def __init__(self, outcomes: Outcomes, require: Require, kept_bytes: int) -> None:
        self._outcomes = outcomes
        self._require = require
        self._room = self._filtered_room = kept_bytes
        # Of whole paths: each key may be looked through, and recorded, for 64 of them.
        self._keys_left, self._key_chars_left = MAX_ENTRIES, _KEY_CHARS
        self._path_chars_left = _PATH_CHARS
        self._told_left = _TOLD_KEYS
        self._made: dict[tuple[Place, str, bool, bool, str], bytes | StrongroomError | None] = {}
        self._origin: dict[str, tuple[str, str]] = {}  # variable -> the whole path it came from, and the key
        self.result = Resolution()

    def add_entry(self, entry: Entry) -> None:
        parts = [part.encode() if isinstance(part, str) else self._part(entry, part) for part in entry.parts]
        if Absence.FAILED in parts or (Absence.MISSING in parts and entry.may_be_absent):
            return
        texts = [part for part in parts if isinstance(part, bytes)]
        size = sum(map(len, texts))
        if entry.as_file:
            self.result.file_sizes[entry.name] = size
        else:
            self.result.entry_sizes[entry.name] = len(entry.name) + size
        self._room -= size
        if self._room < 0:
            return  # too much for any answer, as the sizes say
        value = b"".join(texts)
        if entry.as_file:
            self.result.files.append((entry.name, value))
            return
        if 0 in value:  # of a string or a default; a secret's own is found earlier
            first = entry.references[0]
            detail = "the text around the reference, or its default, holds a NUL byte"
            self._fail(Subject(entry.name, first.path, first.key), UNDELIVERABLE, detail)
            return
        self.result.entries.append((entry.name, value))

    def add_path(self, source: FromPath, taken: set[str] | frozenset[str]) -> None:
        outcome = self._outcomes[Place(source.path, 0)]
        if isinstance(outcome, StrongroomError):
            self._note_error(Subject("", source.path, ""), outcome, optional=source.optional)
            return
        excess = self._excess(source, outcome)
        if excess:
            msg = f"with those of {source.path} the whole paths have more than {excess}"
            hint = (
                "a path that is taken several times counts as often: take it once, or refer to the keys that are meant"
            )
            self._note_error(Subject("", source.path, ""), UndeliverableError(msg, hint=hint), version=outcome.version)
            return
        named = self._named(source, outcome, taken)
        wanted = {key for key in named if source.takes(key)}
        stopping = wanted if self._covers_patterns(source) else named.keys()
        denied = self._denied(source.path, {key: named[key] for key in named if key in stopping}, outcome.version)
        self.result.records += summed_up(list(denied.values()))
        self._told_left = max(1, self._told_left)  # of each path it is said
        for key, name in named.items():
            if key in wanted and key not in denied:
                self._add_key(source.path, key, name, outcome)
        if denied:  # their number only: the caller may not even know their names
            count = len(denied)
            detail = f"the policy does not grant {count} of its {len(named)} keys; the bridge's audit log names them"
            if source.include or source.exclude:
                detail += f"; {_PATTERNS_AND_GRANTS}"
            self._fail(Subject("", source.path, ""), DENIED, detail)

    def _named(self, source: FromPath, reading: Reading, taken: set[str] | frozenset[str]) -> dict[str, str]:
        """Return the keys of a path, with their names, but for those that are left out one by one."""
        left_out = {glob.pattern for glob in source.exclude}
        names = ((key, source.name_of(key)) for key in reading.data if key not in left_out)
        return {key: name for key, name in names if name is not None and name not in taken}

    def _covers_patterns(self, source: FromPath) -> bool:
        """Return whether the policy grants all that the patterns of a path could ever take.

        Where it does not, each key counts that it does not grant, taken or not. Else who may not know their names would
        find them letter by letter, from which patterns are refused.
        """
        try:
            for glob in source.include:
                # One pattern lies within another if that matches it with a character of neither in place of its stars.
                self._require(source.path, glob.pattern.replace("*", _NO_CHARACTER))
        except DeniedError:
            return False
        return bool(source.include)

    def _excess(self, source: FromPath, reading: Reading) -> str:
        """Count the keys of a path, and return of what there are too many by now; "" if there are not."""
        self._keys_left -= len(reading.data)
        self._key_chars_left -= (1 + len(source.include) + len(source.exclude)) * sum(map(len, reading.data))
        self._path_chars_left -= len(source.path) * len(reading.data)
        if self._keys_left < 0:
            return f"{MAX_ENTRIES} keys together"
        if self._key_chars_left < 0:
            return f"{_KEY_CHARS} characters in their keys together, which each include= and exclude= counts again"
        if self._path_chars_left < 0:
            return f"{_PATH_CHARS} characters in their paths together, which each key counts again"
        return ""

    def _denied(self, path: str, named: Mapping[str, str], version: int) -> dict[str, AuditRecord]:
        """Return the keys that the policy does not grant, with their records."""
        denied: dict[str, AuditRecord] = {}
        for key, name in named.items():
            try:
                self._require(path, key)
            except DeniedError as error:
                shown = name if _is_legal(name) else ""
                reason = error.message if len(denied) < MAX_DENIED_RECORDS else ""  # what is summed up has none
                denied[key] = AuditRecord(shown, path, key, version, Decision.DENIED, reason)
        return denied

    def _add_key(self, path: str, key: str, name: str, reading: Reading) -> None:
        try:
            value = value_bytes(reading.data[key])
            self._check_name(path, key, name)
        except UndeliverableError as error:
            subject = Subject(name if _is_legal(name) else "", path, key)
            self._note_error(subject, error, version=reading.version)
            self._told_left -= 1
            return
        if value is None:  # null: the key is there, but it has no value
            self._record(Subject(name, path, key), reading.version, Decision.MISSING, "the value is null")
            return
        self._origin[name] = (path, key)
        self.result.entry_sizes[name] = len(name) + len(value)
        self._room -= len(value)
        if self._room >= 0:  # a path that is taken again and again has its values each time
            self.result.entries.append((name, value))
        self._record(Subject(name, path, key), reading.version, Decision.ALLOWED)

    def _check_name(self, path: str, key: str, name: str) -> None:
        if _is_legal(name) and not steers_the_process(name) and name not in self._origin:
            return
        if self._told_left <= 0:
            raise UndeliverableError("it cannot be a variable either", hint="see what is said of the first such keys")
        hint = "rename the key, or refer to it from a variable with a legal name"
        if not _is_legal(name):
            hint += "; ?names=skip leaves such keys out, ?names=convert puts _ for what is not legal, and "
            hint += f"?exclude={spell_pattern(key[:100])} leaves out this one"
            raise UndeliverableError(f"the key {key[:100]!r} of {path} cannot be the name of a variable", hint=hint)
        # A whole path is chosen by name, not key by key: else anyone who may write to it could take over the program.
        if steers_the_process(name):
            msg = f"the key {key!r} of {path} would steer the dynamic linker, the C library or Strongroom itself"
            raise UndeliverableError(msg, hint=hint)
        other_path, other = self._origin[name]
        msg = f"the key {key!r} of {path} and the key {other!r} of {other_path} both become the variable {name}"
        hint = f"leave one out (?exclude={spell_pattern(key)}), give one path a prefix (?prefix=), "
        raise UndeliverableError(msg, hint=f"{hint}or refer to the one that is meant by a variable of its own")

    def _part(self, entry: Entry, ref: Reference) -> bytes | Absence:
        """Return the bytes of a reference, its default, or why there are none; notes record and failure."""
        outcome = self._outcomes[Place(ref.path, ref.version)]
        subject = Subject(entry.name, ref.path, ref.key)
        version = 0
        try:
            if isinstance(outcome, StrongroomError):
                raise outcome
            version = outcome.version
            value = self._value(outcome, ref, as_file=entry.as_file, decode=entry.decode)
            if value is None:
                raise _no_key(ref)
        except StrongroomError as error:
            self._note_error(subject, error, optional=ref.optional, version=version)
            if not ref.optional or not isinstance(error, NotFoundError):
                return Absence.FAILED
            return Absence.MISSING if ref.default is None else ref.default.encode()
        self._record(subject, version, Decision.ALLOWED)
        return value

    def _value(self, reading: Reading, ref: Reference, *, as_file: bool, decode: bool) -> bytes | None:
        """Return the bytes of a key, made once for all who refer to it; None if it is not there."""
        which = (Place(ref.path, ref.version), ref.key, as_file, decode, ref.filter_name)
        if which not in self._made:
            try:
                value = value_bytes(reading.data.get(ref.key), as_file=as_file or bool(ref.filter_name))
                value = decode_base64(value) if decode and value is not None else value
                self._made[which] = self._filtered(ref.filter_name, value) if value is not None else None
            except UndeliverableError as error:
                self._made[which] = error
        made = self._made[which]
        if isinstance(made, StrongroomError):
            raise made
        return made

    def _filtered(self, filter_name: str, value: bytes) -> bytes:
        """Return a value as its filter encodes it, of all together no more than any answer can have."""
        if not filter_name:
            return value
        self._filtered_room -= filtered_bytes(filter_name, value)
        if self._filtered_room < 0:
            msg = f"with |{filter_name} the values are more than any answer can have"
            raise UndeliverableError(msg, hint="ask for less, or raise max_region_bytes or max_files_bytes")
        return filtered(filter_name, value)

    def _note_error(
        self, subject: Subject, error: StrongroomError, *, optional: bool = False, version: int = 0
    ) -> None:
        """Record an error, and note it as a failure unless it is about OpenBao or an optional secret is missing."""
        if isinstance(error, PeerError):
            self.result.unavailable = error
            self._record(subject, version, Decision.UNAVAILABLE, error.message)
            return
        cause = cause_of(error)
        self._record(subject, version, Decision(cause), error.message)
        if not (optional and cause == MISSING):
            detail = f"{error.message}; {error.hint}" if error.hint else error.message
            self._fail(subject, cause, detail)

    def _fail(self, about: Subject, cause: str, detail: str) -> None:
        failure = Failure(name=about.name, path=about.path, key=about.key, cause=cause, detail=detail)
        self.result.failures.append(failure)

    def _record(self, about: Subject, version: int, decision: Decision, reason: str = "") -> None:
        self.result.records.append(AuditRecord(about.name, about.path, about.key, version, decision, reason))


def _no_key(ref: Reference) -> NotFoundError:
    hint = "`bao kv get` lists the keys of the path; store it, or say ?optional or ?default=TEXT"
    if ref.key.rpartition("|")[2] in FILTERS:
        hint = "if a filter is meant, the wrapper is older than filters: install the release of the bridge"
    return NotFoundError(f"there is no key {ref.key!r} in {ref.path}", hint=hint)


def _is_legal(name: str) -> bool:
    """Return whether a key of a whole path may be the name of a variable."""
    return len(name) <= MAX_NAME_CHARS and is_env_name(name)
