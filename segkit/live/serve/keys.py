"""API keys of the scoring service: roles by key, kept as hashes, compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from segkit.errors import ParameterError, SourceError, require_choice
from segkit.writing import write_whole

Role = Literal["assign", "read", "reload"]
ROLES: tuple[Role, ...] = get_args(Role)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key: who uses it, its SHA-256, and what it may do."""

    name: str
    digest: bytes
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that a service accepts; with none, everybody who reaches it may do everything.

    Examples
    --------
    >>> keys = Keys.of({"shop": {"sha256": hash_key("secret"), "roles": ["assign"]}})
    >>> keys.find(b"Bearer secret").name, keys.find(b"Bearer other"), keys.find(None)
    ('shop', None, None)
    """

    keys: tuple[Key, ...]

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> Self:
        """Read the entries of a keys file.

        Raises
        ------
        ParameterError
            If an entry is not a name with ``sha256`` (64 hexadecimal digits) and ``roles``.
        """
        keys = []
        for name, entry in entries.items():
            if not NAME.fullmatch(name) or not isinstance(entry, Mapping):
                raise ParameterError(f"expected [name] with sha256 and roles, got {name!r}")
            if set(entry) != {"sha256", "roles"}:
                raise ParameterError(
                    f"key {name!r} has {', '.join(entry) or 'nothing'}; expected sha256 and roles"
                )
            digest, roles = entry["sha256"], entry["roles"]
            if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise ParameterError(f"sha256 of key {name!r} must be 64 hexadecimal digits")
            keys.append(Key(name, bytes.fromhex(digest), check_roles(roles)))
        if not keys:
            raise ParameterError("the keys file holds no key; see segkit serve-key")
        return cls(tuple(keys))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a keys file (TOML): per key a table with ``sha256`` and ``roles``.

        Raises
        ------
        SourceError, ParameterError
            If the file is absent or cannot be read, or an entry is not a key.
        """
        return cls.of(_read_entries(Path(path)))

    def find(self, authorization: bytes | None) -> Key | None:
        """Return the key of an ``Authorization`` header: a bearer token, or a basic password.

        Every stored hash is compared, each in constant time, so that the time taken says nothing
        about how near a guess came.
        """
        secret = _read_secret(authorization or b"")
        digest = hashlib.sha256(secret).digest()
        match = None
        for key in self.keys:
            if hmac.compare_digest(key.digest, digest):
                match = key
        return match if secret else None


def check_roles(roles: Any) -> frozenset[str]:
    """Return the roles, or raise ``ParameterError`` where there is none or one is unknown."""
    if not isinstance(roles, list | tuple) or not roles:
        raise ParameterError(f"a key needs a list of roles, of {', '.join(ROLES)}; got {roles!r}")
    for role in roles:
        require_choice("role", str(role), ROLES)
    return frozenset(roles)


def _read_secret(header: bytes) -> bytes:
    kind, _, value = header.partition(b" ")
    if kind.lower() == b"bearer":
        return value.strip()
    if kind.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def hash_key(key: str) -> str:
    """Return the hash under which a key is kept."""
    return hashlib.sha256(key.encode()).hexdigest()


def _read_entries(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise SourceError(f"there is no keys file {path}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path.name} is not a keys file: {error}") from error


def add_key(path: Path | str, name: str, roles: Sequence[str]) -> str:
    """Draw a key at random, add its hash to a keys file, and return the key: it is kept nowhere.

    Raises
    ------
    ParameterError
        If the name is taken or no plain word, or a role is unknown.
    """
    file = Path(path)
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    entries = _read_entries(file) if text.strip() else {}
    if name in entries:
        raise ParameterError(f"{file.name} has a key {name!r} already; remove it first")
    if not NAME.fullmatch(name):
        raise ParameterError(f"a key's name is of letters, digits, - and _; got {name!r}")
    key = secrets.token_urlsafe(32)
    listed = ", ".join(f'"{role}"' for role in ROLES if role in check_roles(tuple(roles)))
    entry = f'[{name}]\nsha256 = "{hash_key(key)}"\nroles = [{listed}]\n'
    write_whole(file, f"{text.rstrip()}\n\n{entry}".lstrip(), private=True)
    return key
