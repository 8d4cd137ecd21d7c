"""The page of files that settings name: the bridge's policy, the proxy's policies, clients and credentials."""

from collections.abc import Sequence

from bridge.policy.file import GRANT as BRIDGE_GRANT
from s3proxy.keys.policy_file import POLICY
from s3proxy.s3api.credentials import Right
from s3proxy.s3api.credentials_table import CREDENTIAL, GRANT
from s3proxy.s3api.rules import RULES, On
from s3proxy.store.credentials import STORE_CREDENTIAL
from s3proxy.store.needs import NEEDS
from scripts.reference.markdown import code, codes, page, section, sentence, table
from strongroom.service.members import Member

_HEAD = ("key", "value", "meaning", "left out")
_BRIDGE_EXAMPLE = """```toml
[[grant]]
identity = "spiffe://example.org/ns/shop/sa/*"
paths = ["kv/shop/*", "kv/common/**"]
keys = ["password", "user"]
```"""
_PROXY_EXAMPLE = """```toml
[[policy]]
name = "orders"
kek = "transit:orders"
buckets = ["orders", "orders-*"]

[[policy]]
name = "scratch"
kek = "file"
buckets = ["scratch"]
prefixes = ["tmp/"]
mode = "migrate"
etag = "md5"
```"""
_CLIENTS_EXAMPLE = """```toml
[[credential]]
access_key_id = "SHOPAPPLICATION"
secret_key_file = "/run/secrets/shop"

[[credential.grant]]
buckets = ["orders"]
prefixes = ["2026/", "2027/"]
rights = ["read", "write", "list", "delete"]

[[credential.grant]]
buckets = ["reports-*"]
rights = ["admin", "list"]

[[anonymous]]
buckets = ["public"]
rights = ["read"]
```"""


def files_page() -> str:
    """Return the page."""
    return page(
        "Files",
        """
What the files hold that settings name. All are TOML, are followed while the server runs, and are refused as a whole
where one key is unknown or malformed: what was in force then stays in force, and `/readyz` and the log say so.
""",
        section(
            "The bridge's policy.toml",
            "Setting `policy_file` of the bridge. What no grant gives is denied. In patterns `*` stands for any "
            "characters but `/` (in `keys` for any), `**` for any characters; nothing else is special.",
            _BRIDGE_EXAMPLE,
            "`[[grant]]`, as many as there are:",
            _members(BRIDGE_GRANT),
        ),
        section(
            "The proxy's policy.toml",
            "Setting `policy_file` of the S3 proxy. The first policy whose `buckets` and `prefixes` fit a name is "
            "the one that it is written under; it is read if it was sealed under any that fits. A name that none "
            "fits is refused.",
            _PROXY_EXAMPLE,
            "`[[policy]]`, as many as there are:",
            _members(POLICY),
            'A file for `kek = "file"` (setting `kek_file`) holds 32 random bytes as base64 and has mode 0400: '
            "`(umask 277; set -C; openssl rand -base64 32 >kek)`, which leaves a key that is there already. **Back it "
            "up before the first object is written**: without it nothing that was sealed under it can be opened.",
        ),
        section(
            "clients.toml",
            "Setting `credentials_file` of the S3 proxy, or the text in the member `credentials` of the secret that "
            "`credentials_secret` names. What no grant gives is refused.",
            _CLIENTS_EXAMPLE,
            "`[[credential]]`, one for each access key:",
            _members(CREDENTIAL),
            "`[[credential.grant]]` below it, and `[[anonymous]]` for requests without a signature, whose rights can "
            "be `read` and `list` only:",
            _members(GRANT),
        ),
        section(
            "Rights",
            "A right counts on the keys that the grant's prefixes cover; what is asked of a bucket as a whole "
            "(`admin` for most, `list` without a prefix) needs a grant without `prefixes`. A copy needs `read` on "
            "its source. Headers and fields of forms that set an ACL other than `private` and "
            "`bucket-owner-full-control`, a retention or a legal hold need `admin` on the key, too.",
            table(("right", "on", "operations"), _rights()),
            "Any right in a bucket is enough for "
            + codes(_named(On.ANY_OF_BUCKET))
            + ". A signature is enough for "
            + codes(_named(On.SIGNED))
            + ", which shows the buckets in which anything is granted.",
        ),
        section(
            "The proxy's credentials at the store",
            "Setting `store_credentials_file`, or a secret with the same members that `store_credentials` names.",
            _members(STORE_CREDENTIAL),
            "What they must be allowed there. At SeaweedFS these are the actions `Read`, `Write`, `List` and "
            "`Tagging` on each bucket of a policy, and `Read`, `Write` and `List` on `system_bucket` (and `Admin` "
            "on it, where the proxy is to make the bucket itself). A test takes each of them away, and sees what "
            "fails.",
            table(("where", "actions of S3", "what for"), ((w, codes(a), f) for w, a, f in NEEDS)),
        ),
    )


def _members(members: Sequence[Member]) -> str:
    return table(
        _HEAD,
        (
            (
                code(one.name),
                one.kind,
                sentence(one.meaning) + (" (outdated)" if one.outdated else ""),
                "must be there" if one.default is None else _default(one.default),
            )
            for one in members
        ),
    )


def _default(text: str) -> str:
    value, comma, words = text.partition(", ")
    return code(value) + comma + words if value.startswith(('"', "[")) else text


def _rights() -> list[tuple[str, str, str]]:
    rows = []
    for right in Right:
        by_place: dict[On, list[str]] = {}
        for operation, rule in RULES.items():
            if right in rule.rights:
                by_place.setdefault(rule.on, []).append(operation.value)
        rows += [(code(right.value), _place(on), codes(sorted(operations))) for on, operations in by_place.items()]
    return rows


def _place(on: On) -> str:
    return "each key that the body names" if on in {On.LATER, On.ANY_OF_BUCKET} else on.value


def _named(on: On) -> list[str]:
    return sorted(operation.value for operation, rule in RULES.items() if rule.on is on and not rule.rights)
